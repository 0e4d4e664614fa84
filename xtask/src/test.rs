//! `cargo xtask test`: every test there is, in the order in which a failure tells most.
//!
//! Tests with real containers and a real browser meet a busy machine now and then. What failed is run once more, alone:
//! a defect fails again; what passes is named at the end as unsteady, because that is a defect too, of the test or of
//! the code. More than [`SECOND_CHANCES`] failures are no accident and are not tried again.
//!
//! Start at [`run`].

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

const SECOND_CHANCES: usize = 3;
/// How long what cargo printed last may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub fn run() -> anyhow::Result<()> {
    let root = crate::root();
    let example = root.join("examples/todo");
    check(&root, &["fmt", "--all", "--check"])?;
    check(&root, &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    let mut unsteady = suite(&root)?;
    unsteady.extend(suite(&example)?);
    for name in &unsteady {
        eprintln!("unsteady: `{name}` failed among the others and passed alone; its first output is above");
    }
    Ok(())
}

/// Runs a workspace's tests and gives the names of those that needed a second attempt.
fn suite(folder: &Path) -> anyhow::Result<Vec<String>> {
    let first = cargo(folder, &["test", "--workspace", "--no-fail-fast"])?;
    if first.success {
        return Ok(Vec::new());
    }
    let failed = format!("tests failed in `{}`", folder.display());
    // A program that ended without naming a test was killed, or does not compile.
    ensure!(!first.tests.is_empty() && !first.targets.is_empty(), "{failed}");
    ensure!(first.tests.len() <= SECOND_CHANCES, "{failed}: {}", first.tests.join(", "));
    let mut passed = 0;
    for target in &first.targets {
        let names = first.tests.iter().map(String::as_str);
        let args: Vec<&str> =
            ["test"].into_iter().chain(target.split(' ')).chain(["--", "--exact"]).chain(names).collect();
        let second = cargo(folder, &args)?;
        ensure!(second.success, "{failed}, twice: {}", second.tests.join(", "));
        passed += second.passed;
    }
    ensure!(passed >= first.tests.len(), "{failed} and were not found again: {}", first.tests.join(", "));
    Ok(first.tests)
}

fn check(folder: &Path, args: &[&str]) -> anyhow::Result<()> {
    match cargo(folder, args)?.success {
        true => Ok(()),
        false => bail!("`cargo {}` failed in `{}`", args.join(" "), folder.display()),
    }
}

/// What a run of cargo told about tests.
#[derive(Debug, Default, PartialEq)]
struct Told {
    success: bool,
    /// Names of the tests that failed.
    tests: Vec<String>,
    /// Arguments that run a program with a failed test again, such as `-p drydock --test it`.
    targets: Vec<String>,
    passed: usize,
}

impl Told {
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["test", name, "...", "FAILED"] => self.tests.push((*name).to_owned()),
            ["test", "result:", _, passed, "passed;", ..] => {
                self.passed += passed.parse::<usize>().unwrap_or(0)
            }
            ["error:", "test", "failed,", "to", "rerun", "pass", ..] => {
                self.targets.extend(line.split('`').nth(1).map(str::to_owned));
            }
            _ => {}
        }
    }
}

/// Runs cargo, shows what it prints as it comes, and reads it.
fn cargo(folder: &Path, args: &[&str]) -> anyhow::Result<Told> {
    eprintln!("\n$ cargo {}", args.join(" "));
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("CARGO_TERM_COLOR", "never");
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot run cargo")?;
    let told = Arc::new(Mutex::new(Told::default()));
    let (ended, end) = mpsc::channel();
    let output = (child.stdout.take().map(BufReader::new), child.stderr.take().map(BufReader::new));
    show(output.0, std::io::stdout(), told.clone(), ended.clone());
    show(output.1, std::io::stderr(), told.clone(), ended);
    let status = child.wait().context("cannot wait for cargo")?;
    // A process that a test left behind may hold the output open; nobody waits for that one.
    for _ in 0..2 {
        let _ = end.recv_timeout(LAST_WORDS);
    }
    let mut told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    told.success = status.success();
    Ok(told)
}

fn show(
    from: Option<impl BufRead + Send + 'static>,
    mut to: impl Write + Send + 'static,
    told: Arc<Mutex<Told>>,
    ended: mpsc::Sender<()>,
) {
    let Some(mut from) = from else { return };
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // Nobody may be listening any more; the tests go on all the same.
            let _ = to.write_all(&line);
            told.lock().unwrap_or_else(PoisonError::into_inner).read(&String::from_utf8_lossy(&line));
            line.clear();
        }
        let _ = ended.send(());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_read_from_what_cargo_prints() {
        let mut told = Told::default();
        for line in [
            "running 3 tests",
            "test exec::a_shell_answers ... ok",
            "test logs::the_flags_are_kept ... FAILED",
            "test cp::folders ... ignored",
            "test result: FAILED. 21 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 64.27s",
            "error: test failed, to rerun pass `-p drydock --test it`",
            "error: 1 target failed:",
            "    `-p drydock --test it`",
        ] {
            told.read(line);
        }
        let expect = Told {
            success: false,
            tests: vec!["logs::the_flags_are_kept".to_owned()],
            targets: vec!["-p drydock --test it".to_owned()],
            passed: 21,
        };
        assert_eq!(told, expect);
    }
}
