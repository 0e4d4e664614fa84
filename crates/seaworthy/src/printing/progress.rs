//! What an operation tells, as lines on stderr.

use seaworthy_release::Progress as Told;

use crate::progress::Progress;

pub fn tell(progress: &Progress, told: Told) {
    match told {
        Told::TookOver { revision } => {
            progress.warn(format!("revision {revision} was interrupted; taking over"));
        }
        Told::Definition { name, what } => progress.step("crd", format!("{name} {what}")),
        Told::Found(finding) => {
            progress.warn(finding.to_string());
            if let Some(hint) = finding.hint() {
                progress.step("", format!("hint: {hint}"));
            }
        }
        Told::Applying { revision, objects } => {
            progress.step("release", format!("revision {revision}: {objects} objects"));
        }
        Told::Hook { event, object } => progress.live(format!("{event} hook {object}")),
        Told::HookLog { object, lines } => {
            progress.step("hook", format!("{object} wrote:"));
            for line in lines {
                progress.step("", format!("{} {} | {}", line.pod, line.container, line.text));
            }
        }
        Told::Recreated { object } => progress.step("", format!("{object:<32} deleted and created")),
        Told::Left { object, why } => progress.warn(format!("{object} stays in the cluster: {why}")),
        Told::Ready { object } => progress.step("", format!("{object:<32} ready")),
        Told::Waiting { objects } => {
            let told: Vec<String> =
                objects.into_iter().map(|(object, why)| format!("{object}: {why}")).collect();
            progress.live(told.join("   "));
        }
        Told::RollingBack { to } => progress.step("rollback", format!("to revision {to}")),
    }
}
