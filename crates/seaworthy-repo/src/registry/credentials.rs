//! Logins at registries: Helm's `registry/config.json` first, then Docker's, then their credential helpers.
//!
//! Written as Helm and Docker write them, so that a login made by one is a login of the other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use tokio::io::AsyncWriteExt as _;

use crate::settings::Settings;
use crate::whole;

const MAX_BYTES: u64 = 4 << 20;
/// A helper that asks a key ring on screen may take its time, but not for ever.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// A name and a secret for one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    /// Password, or an identity token when there is no name.
    pub secret: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why logins could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read `{path}`")]
    Read { path: String, source: std::io::Error },
    #[error("`{path}` is larger than {MAX_BYTES} bytes")]
    TooLarge { path: String },
    #[error("`{path}` is not JSON")]
    Json { path: String, source: serde_json::Error },
    #[error("cannot write `{path}`")]
    Write { path: String, source: std::io::Error },
    #[error("credential helper `{helper}` failed: {reason}")]
    Helper { helper: String, reason: String },
    #[error("not logged in to {0}")]
    NotLoggedIn(String),
}

/// The files logins are kept in.
#[derive(Debug, Clone)]
pub struct Logins {
    own: PathBuf,
    docker: PathBuf,
}

impl Logins {
    pub fn new(settings: &Settings) -> Logins {
        Logins { own: settings.registry_config.clone(), docker: settings.docker_config.clone() }
    }

    /// The login for a registry; `None` means that nobody logged in there.
    pub async fn get(&self, host: &str) -> Result<Option<Login>, Error> {
        for file in [&self.own, &self.docker] {
            if let Some(login) = lookup(&read(file)?, host).await? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    /// Keeps a login: in the store that the file names, else in the file, readable by its owner only.
    pub async fn put(&self, host: &str, login: &Login) -> Result<(), Error> {
        let mut config = read(&self.own)?;
        if let Some(helper) = helper(&config, host) {
            let input =
                json!({"ServerURL": server(host), "Username": login.username, "Secret": login.secret});
            return run(&helper, "store", &input.to_string()).await.map(drop);
        }
        let auth = STANDARD.encode(format!("{}:{}", login.username, login.secret));
        let auths = config.entry("auths").or_insert_with(|| Json::Object(Map::new()));
        if !auths.is_object() {
            *auths = Json::Object(Map::new());
        }
        auths[server(host)] = json!({ "auth": auth });
        write(&self.own, &config)
    }

    /// Forgets a login.
    pub async fn remove(&self, host: &str) -> Result<(), Error> {
        let mut config = read(&self.own)?;
        let helper = helper(&config, host);
        if let Some(helper) = &helper {
            run(helper, "erase", server(host)).await?;
        }
        let auths = config.get_mut("auths").and_then(Json::as_object_mut);
        match (auths.and_then(|auths| auths.remove(server(host))), helper) {
            (Some(_), _) => write(&self.own, &config),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(Error::NotLoggedIn(host.to_owned())),
        }
    }
}

/// Docker's own registry is filed under a name from before registries.
fn server(host: &str) -> &str {
    match host {
        "docker.io" | "registry-1.docker.io" | "index.docker.io" => "https://index.docker.io/v1/",
        host => host,
    }
}

fn read(path: &Path) -> Result<Map<String, Json>, Error> {
    let shown = path.display().to_string();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => return Err(Error::Read { path: shown, source }),
        Ok(info) if info.len() > MAX_BYTES => return Err(Error::TooLarge { path: shown }),
        Ok(_) => {}
    }
    let data = std::fs::read(path).map_err(|source| Error::Read { path: shown.clone(), source })?;
    if data.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(&data).map_err(|source| Error::Json { path: shown, source })
}

fn write(path: &Path, config: &Map<String, Json>) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.display().to_string(), source };
    let text = serde_json::to_vec_pretty(config).map_err(|error| failed(error.into()))?;
    whole::write(path, &text).map_err(failed)
}

async fn lookup(config: &Map<String, Json>, host: &str) -> Result<Option<Login>, Error> {
    if let Some(login) = config.get("auths").and_then(|auths| in_file(&auths[server(host)])) {
        return Ok(Some(login));
    }
    let Some(helper) = helper(config, host) else { return Ok(None) };
    let Ok(answer) = run(&helper, "get", server(host)).await else { return Ok(None) };
    let answer: Json = serde_json::from_str(&answer)
        .map_err(|error| Error::Helper { helper, reason: format!("its answer is not JSON: {error}") })?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let username = text("Username");
    // `<token>` is how helpers say that the secret is an identity token.
    let username = if username == "<token>" { String::new() } else { username };
    Ok(Some(Login { username, secret: text("Secret") }))
}

fn in_file(entry: &Json) -> Option<Login> {
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Some(Login { username: String::new(), secret: token.to_owned() });
    }
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Some(Login { username: username.to_owned(), secret: password.to_owned() });
    }
    let decoded = String::from_utf8(STANDARD.decode(text("auth")?).ok()?).ok()?;
    let (username, secret) = decoded.split_once(':')?;
    Some(Login { username: username.to_owned(), secret: secret.trim_end_matches('\0').to_owned() })
}

fn helper(config: &Map<String, Json>, host: &str) -> Option<String> {
    let own = config.get("credHelpers").and_then(|helpers| helpers[host].as_str());
    let name = own.or_else(|| config.get("credsStore")?.as_str()).filter(|name| !name.is_empty())?;
    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
    plain.then(|| format!("docker-credential-{name}"))
}

async fn run(helper: &str, verb: &str, input: &str) -> Result<String, Error> {
    let failed = |reason: String| Error::Helper { helper: helper.to_owned(), reason };
    let mut child = tokio::process::Command::new(helper)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    }
    let done = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output()).await;
    let output = done.map_err(|_| failed("it did not answer in time".into()))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(folder: &Path) -> Logins {
        Logins { own: folder.join("registry/config.json"), docker: folder.join("docker.json") }
    }

    #[tokio::test]
    async fn a_login_is_kept_found_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let logins = logins(folder.path());
        let login = Login { username: "me".into(), secret: "a:b".into() };
        logins.put("localhost:5000", &login).await.unwrap();
        assert_eq!(logins.get("localhost:5000").await.unwrap(), Some(login));
        assert_eq!(logins.get("elsewhere").await.unwrap(), None);
        logins.remove("localhost:5000").await.unwrap();
        assert_eq!(logins.get("localhost:5000").await.unwrap(), None);
        assert!(logins.remove("localhost:5000").await.unwrap_err().to_string().contains("not logged in"));
    }

    #[tokio::test]
    async fn dockers_logins_count_where_helm_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"auths":{"h":{"auth":"bWU6cHc="},"t":{"identitytoken":"tok"}}}"#;
        std::fs::write(folder.path().join("docker.json"), text).unwrap();
        let found = logins(folder.path()).get("h").await.unwrap().unwrap();
        assert_eq!((found.username.as_str(), found.secret.as_str()), ("me", "pw"));
        assert_eq!(logins(folder.path()).get("t").await.unwrap().unwrap().username, "");
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn only_the_owner_can_read_a_kept_login() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let login = Login { username: "me".into(), secret: "pw".into() };
        logins(folder.path()).put("h", &login).await.unwrap();
        let mode =
            std::fs::metadata(folder.path().join("registry/config.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
