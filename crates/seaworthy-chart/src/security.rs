//! Who a container runs as and what it may do.
//!
//! Images we build run as 1000 with a root file system that cannot be written. Known data stores run as their own
//! user. Of other images nothing is known: they keep their user, and the few capabilities that starting as root and
//! changing to another user takes; a note asks for `user:`.

use seaworthy_app::{Service, known_image};
use serde_json::{Map, Value, json};

/// Capabilities an image that starts as root commonly needs to become somebody else.
const ROOT_START: &[&str] = &["CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID"];

const BUILT_USER: (u32, u32) = (1000, 1000);

/// Security contexts as they stand in values.
#[derive(Debug, PartialEq)]
pub struct Decided {
    pub pod: Value,
    pub container: Value,
    pub read_only: bool,
    pub note: Option<String>,
}

pub fn decide(service: &Service) -> Decided {
    let known = service.foreign_image().and_then(|image| Some((image, known_image(image)?)));
    let user = service
        .user
        .or_else(|| known.map(|(image, known)| known.user(image)))
        .or_else(|| service.foreign_image().is_none().then_some(BUILT_USER));
    let is_unknown = user.is_none();
    let read_only =
        service.read_only.unwrap_or(!is_unknown && (known.is_some() || service.foreign_image().is_none()));
    let note = is_unknown.then(|| {
        format!(
            "`{}` keeps the user of its image; state `user: \"1000:1000\"` if it can run without root",
            service.name
        )
    });
    Decided { pod: pod(user), container: container(service, is_unknown, read_only), read_only, note }
}

fn pod(user: Option<(u32, u32)>) -> Value {
    let mut context = Map::new();
    if let Some((user, group)) = user {
        // Stating root is allowed, and then it cannot be "not root".
        context.insert("runAsNonRoot".to_owned(), json!(user != 0));
        context.insert("runAsUser".to_owned(), json!(user));
        context.insert("runAsGroup".to_owned(), json!(group));
        context.insert("fsGroup".to_owned(), json!(group));
        context.insert("fsGroupChangePolicy".to_owned(), json!("OnRootMismatch"));
    }
    context.insert("seccompProfile".to_owned(), json!({"type": "RuntimeDefault"}));
    Value::Object(context)
}

fn container(service: &Service, is_unknown: bool, read_only: bool) -> Value {
    let mut add: Vec<String> = service.cap_add.iter().map(|cap| plain_name(cap)).collect();
    if is_unknown {
        let dropped: Vec<String> = service.cap_drop.iter().map(|cap| plain_name(cap)).collect();
        let wanted = ROOT_START.iter().filter(|cap| !dropped.iter().any(|d| d == *cap || d == "ALL"));
        add.extend(wanted.map(|cap| (*cap).to_owned()));
    }
    add.sort();
    add.dedup();
    let mut capabilities = json!({"drop": ["ALL"]});
    if !add.is_empty() {
        capabilities["add"] = json!(add);
    }
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": read_only,
        "capabilities": capabilities,
    })
}

/// Kubernetes writes capabilities without `CAP_`.
fn plain_name(capability: &str) -> String {
    let upper = capability.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seaworthy_app::{Build, Image};

    fn of(image: Image, change: impl FnOnce(&mut Service)) -> Decided {
        let mut service = Service::new("web");
        service.image = image;
        change(&mut service);
        decide(&service)
    }

    fn reference(image: &str) -> Image {
        Image::Reference(image.to_owned())
    }

    #[test]
    fn built_images_run_as_1000_and_cannot_write_their_root() {
        let decided = of(Image::Build(Build::default()), |_| {});
        assert_eq!(decided.pod["runAsUser"], 1000);
        assert_eq!(decided.pod["runAsNonRoot"], true);
        assert_eq!(decided.container["readOnlyRootFilesystem"], true);
        assert_eq!(decided.container["capabilities"], json!({"drop": ["ALL"]}));
    }

    #[test]
    fn the_database_runs_as_the_user_its_files_belong_to() {
        assert_eq!(of(reference("postgres:16-alpine"), |_| {}).pod["runAsUser"], 70);
        assert_eq!(of(reference("postgres:16"), |_| {}).pod["fsGroup"], 999);
    }

    #[test]
    fn an_unknown_image_keeps_its_user_and_is_told_about() {
        let decided = of(reference("nginx"), |_| {});
        assert_eq!(decided.pod.get("runAsUser"), None);
        assert!(!decided.read_only);
        assert!(decided.note.expect("a note").contains("`web`"));
    }

    #[test]
    fn a_stated_user_is_enough_to_harden_an_unknown_image() {
        let decided = of(reference("nginx"), |service| service.user = Some((101, 101)));
        assert_eq!(decided.pod["runAsUser"], 101);
        assert_eq!(decided.container["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(decided.note, None);
    }

    #[test]
    fn added_capabilities_lose_their_prefix() {
        let decided =
            of(Image::Build(Build::default()), |service| service.cap_add = vec!["cap_net_raw".into()]);
        assert_eq!(decided.container["capabilities"]["add"], json!(["NET_RAW"]));
    }
}
