//! The clients of the matrix: one kubectl per minor version, and plain HTTP.

use std::path::PathBuf;

/// Where Google's SDK puts one kubectl per version.
const SDK: &str = "/usr/lib/google-cloud-sdk/bin";
const VERSIONS: [&str; 7] = ["1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33"];
/// The name of the client that is no kubectl: requests made by hand.
pub const HTTP: &str = "http";

/// A version's name and its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub version: &'static str,
    pub program: PathBuf,
}

/// The kubectls of this machine, and the versions that it lacks.
pub fn clients() -> (Vec<Client>, Vec<&'static str>) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain([PathBuf::from(SDK)]).collect();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for version in VERSIONS {
        let candidates = folders.iter().map(|folder| folder.join(format!("kubectl.{version}")));
        match candidates.into_iter().find(|file| file.is_file()) {
            Some(program) => found.push(Client { version, program }),
            None => missing.push(version),
        }
    }
    (found, missing)
}

/// Versions as `1.27-1.30 1.33`, neighbours drawn together.
pub fn ranges(versions: &[&str]) -> String {
    let place = |version: &str| VERSIONS.iter().position(|known| *known == version);
    let mut runs: Vec<(&str, &str)> = Vec::new();
    for version in versions {
        match runs.last_mut() {
            Some((_, last)) if place(version).is_some() && place(last).map(|at| at + 1) == place(version) => {
                *last = version;
            }
            _ => runs.push((version, version)),
        }
    }
    let text = |(first, last): &(&str, &str)| match first == last {
        true => (*first).to_owned(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// The versions that [`ranges`] drew together.
pub fn expand(text: &str) -> anyhow::Result<Vec<String>> {
    let mut versions = Vec::new();
    for run in text.split_whitespace() {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        if run == HTTP {
            versions.push(HTTP.to_owned());
            continue;
        }
        let place = |version: &str| {
            let found = VERSIONS.iter().position(|known| *known == version);
            anyhow::Context::with_context(found, || format!("`{version}` is no version of the matrix"))
        };
        versions.extend(VERSIONS[place(first)?..=place(last)?].iter().map(|version| (*version).to_owned()));
    }
    Ok(versions)
}

/// Every version of the matrix.
pub fn versions() -> &'static [&'static str] {
    &VERSIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_versions_are_drawn_together_and_apart_again() {
        assert_eq!(ranges(&["1.27", "1.28", "1.30"]), "1.27-1.28 1.30");
        assert_eq!(expand("1.27-1.28 1.30").unwrap(), ["1.27", "1.28", "1.30"]);
        assert_eq!(expand("http").unwrap(), ["http"]);
        assert!(expand("1.26").is_err());
    }
}
