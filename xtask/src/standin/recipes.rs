//! What each stand-in is made of, and the facts of the official image it has to keep.

use super::rootfs::Rootfs;

/// Debian 12's packages; their libraries follow by themselves.
pub const PACKAGES: &[&str] = &[
    "busybox-static",
    "libc-bin",
    "libgcc-s1",
    "postgresql-15",
    "postgresql-client-15",
    "redis-server",
    "redis-tools",
    "tzdata",
    "util-linux",
];

/// Raise it when an image would come out differently.
const REVISION: &str = "1";

pub struct Recipe {
    /// The name it is stored under: that of the official image.
    pub name: &'static str,
    pub software: &'static str,
    /// Whose version is the image's version.
    pub package: &'static str,
    pub env: &'static [&'static str],
    pub command: &'static [&'static str],
    pub port: &'static str,
    pub volume: &'static str,
    pub working_dir: &'static str,
    pub stop_signal: &'static str,
    pub fill: fn(&mut Rootfs) -> anyhow::Result<()>,
    /// The script that starts it.
    pub entrypoint: &'static str,
}

impl Recipe {
    pub fn repository(&self) -> &'static str {
        self.name.split(':').next().unwrap_or(self.name)
    }

    /// Changes when the recipe does; newer packages are taken with `--fresh`.
    pub fn fingerprint(&self) -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (REVISION, self.entrypoint, self.env, self.command).hash(&mut hasher);
        format!("standin-{:016x}", hasher.finish())
    }
}

pub const RECIPES: &[Recipe] = &[
    Recipe {
        name: "redis:7-alpine",
        software: "Redis",
        package: "redis-server",
        env: &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
        command: &["redis-server"],
        port: "6379/tcp",
        volume: "/data",
        working_dir: "/data",
        stop_signal: "SIGTERM",
        fill: redis,
        entrypoint: include_str!("redis-entrypoint.sh"),
    },
    Recipe {
        name: "postgres:16-alpine",
        software: "PostgreSQL",
        package: "postgresql-15",
        env: &[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            "PGDATA=/var/lib/postgresql/data",
        ],
        command: &["postgres"],
        port: "5432/tcp",
        volume: "/var/lib/postgresql/data",
        working_dir: "/",
        // Ends connections at once instead of waiting for clients to leave.
        stop_signal: "SIGINT",
        fill: postgres,
        entrypoint: include_str!("postgres-entrypoint.sh"),
    },
];

/// User 999 and group 1000, as in the Alpine variant; Debian's variant has group 999.
fn redis(rootfs: &mut Rootfs) -> anyhow::Result<()> {
    rootfs.accounts(&[("redis", 999, 1000, "/data")])?;
    for program in ["redis-check-rdb", "redis-cli"] {
        rootfs.copy(&format!("usr/bin/{program}"))?;
    }
    // One program under three names.
    for name in ["redis-server", "redis-sentinel", "redis-check-aof"] {
        rootfs.link(&format!("usr/bin/{name}"), "redis-check-rdb")?;
    }
    rootfs.owned_folder("data", 0o755, 999, 1000)
}

/// User and group 70, as in the Alpine variant; 999 and 1000 are known too, since PostgreSQL insists on a name.
fn postgres(rootfs: &mut Rootfs) -> anyhow::Result<()> {
    const HOME: &str = "/var/lib/postgresql";
    rootfs.accounts(&[
        ("postgres", 70, 70, HOME),
        ("postgres999", 999, 999, HOME),
        ("app", 1000, 1000, HOME),
    ])?;
    const PROGRAMS: &[&str] = &[
        "clusterdb",
        "createdb",
        "createuser",
        "dropdb",
        "dropuser",
        "initdb",
        "pg_basebackup",
        "pg_checksums",
        "pg_controldata",
        "pg_ctl",
        "pg_dump",
        "pg_dumpall",
        "pg_isready",
        "pg_resetwal",
        "pg_restore",
        "postgres",
        "psql",
        "reindexdb",
        "vacuumdb",
    ];
    for program in PROGRAMS {
        rootfs.copy(&format!("usr/lib/postgresql/15/bin/{program}"))?;
        rootfs.link(&format!("usr/local/bin/{program}"), &format!("/usr/lib/postgresql/15/bin/{program}"))?;
    }
    // Without the query compiler: it alone is larger than everything else.
    rootfs.copy_tree("usr/lib/postgresql/15/lib", &["bitcode", "llvmjit.so", "llvmjit_types.bc", "pgxs"])?;
    rootfs.copy_tree("usr/share/postgresql/15", &["man"])?;
    rootfs.copy_tree("usr/share/zoneinfo", &["posix", "right", "localtime"])?;
    rootfs.link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")?;
    // initdb asks it which locales there are.
    rootfs.copy("usr/bin/locale")?;
    rootfs.library("libgcc_s.so.1")?;
    rootfs.owned_folder("var/lib/postgresql", 0o755, 70, 70)?;
    rootfs.owned_folder("var/lib/postgresql/data", 0o1777, 70, 70)?;
    rootfs.owned_folder("run/postgresql", 0o3777, 70, 70)?;
    rootfs.folder("docker-entrypoint-initdb.d", 0o755)
}
