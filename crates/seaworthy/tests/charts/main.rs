//! The commands for charts beside the real Helm: `cargo test -p seaworthy --test charts`.
//!
//! Charts of our own lie in `data/`. What Helm prints for them is recorded in `recorded/`, so that the comparison
//! also holds where there is no Helm; where `helm` is on PATH, the recordings are checked against it too.
//! `RECORD=1` writes them anew. Repositories and registries are small servers on loopback.

// A test that cannot go on says so by failing.
#![allow(clippy::unwrap_used)]

mod access;
mod archives;
mod dependencies;
mod hostile;
mod lint;
mod oci;
mod provenance;
mod registries;
mod repositories;
mod show;
mod template;
mod tls;
mod world;
