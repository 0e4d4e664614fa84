//! What we know about well-known data store images, so that nobody has to state it.
//!
//! The facts hold for the official image and for a stand-in of the same name: ports, the program that answers
//! a probe, where data lies. The user ids are those of the Alpine variants where these differ from Debian's;
//! the data directory belongs to the pod's fsGroup, so both start.

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownImage {
    /// Last part of the repository: `redis` for `docker.io/library/redis:7-alpine`.
    pub name: &'static str,
    pub port: Option<u16>,
    pub port_name: &'static str,
    /// User and group that own the data in the Alpine and in the Debian variant.
    pub alpine_user: (u32, u32),
    pub debian_user: (u32, u32),
    /// Where it keeps what must survive.
    pub data_dir: &'static str,
    /// Answers success when the server can serve; run with `/bin/sh -c`.
    pub ready: &'static str,
    /// Cheaper check for a hung process; `None` leaves liveness out, because a slow store must not be killed.
    pub live: Option<&'static str>,
    /// Settings a durable store in a cluster needs and the image does not default to.
    pub env: &'static [(&'static str, &'static str)],
    /// The command when the file states none.
    pub command: &'static [&'static str],
    /// Paths that must be writable although the root file system is not.
    pub writable: &'static [&'static str],
}

const KNOWN: &[KnownImage] = &[
    KnownImage {
        name: "redis",
        port: Some(6379),
        port_name: "redis",
        alpine_user: (999, 1000),
        debian_user: (999, 999),
        data_dir: "/data",
        ready: "redis-cli ping | grep -q PONG",
        live: Some("redis-cli ping"),
        env: &[],
        command: &["redis-server", "--appendonly", "yes", "--dir", "/data"],
        writable: &["/tmp"],
    },
    KnownImage {
        name: "postgres",
        port: Some(5432),
        port_name: "postgres",
        alpine_user: (70, 70),
        debian_user: (999, 999),
        data_dir: "/var/lib/postgresql/data",
        ready: "pg_isready -h 127.0.0.1 -U \"${POSTGRES_USER:-postgres}\" -d \"${POSTGRES_DB:-${POSTGRES_USER:-postgres}}\"",
        live: None,
        // A claim's root may hold `lost+found`, which initdb refuses: the data lies one folder deeper.
        env: &[("PGDATA", "/var/lib/postgresql/data/pgdata")],
        command: &[],
        writable: &["/tmp", "/var/run/postgresql"],
    },
];

/// The table's row for `reference` (`redis`, `redis:7-alpine`, `docker.io/library/redis@sha256:...`).
///
/// Only official images count: `acme/redis` may be anything.
pub fn known_image(reference: &str) -> Option<&'static KnownImage> {
    let name = official_name(reference)?;
    KNOWN.iter().find(|known| known.name == name)
}

fn official_name(reference: &str) -> Option<&str> {
    let without_digest = reference.split('@').next().unwrap_or(reference);
    let short = without_digest
        .trim_start_matches("index.docker.io/")
        .trim_start_matches("docker.io/")
        .trim_start_matches("library/");
    let name = short.split(':').next().unwrap_or(short);
    (!name.contains('/')).then_some(name)
}

impl KnownImage {
    /// User and group for this very reference.
    pub fn user(&self, reference: &str) -> (u32, u32) {
        if reference.contains("alpine") { self.alpine_user } else { self.debian_user }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, expect: Option<&str>) {
        assert_eq!(known_image(reference).map(|known| known.name), expect, "{reference}");
    }

    #[test]
    fn official_images_are_known_under_all_their_names() {
        check("redis", Some("redis"));
        check("redis:7-alpine", Some("redis"));
        check("docker.io/library/postgres:16-alpine", Some("postgres"));
        check("postgres@sha256:abc", Some("postgres"));
    }

    #[test]
    fn images_of_others_are_not_known_by_their_last_name() {
        check("acme/redis:7", None);
        check("localhost:5000/redis", None);
        check("todo-backend", None);
    }

    #[test]
    fn the_alpine_postgres_runs_as_the_user_of_alpine() {
        let postgres = known_image("postgres").expect("in the table");
        assert_eq!(postgres.user("postgres:16-alpine"), (70, 70));
        assert_eq!(postgres.user("postgres:16"), (999, 999));
    }
}
