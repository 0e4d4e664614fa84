//! Releases on a cluster, in Helm's storage format: install, upgrade, wait, rollback.
