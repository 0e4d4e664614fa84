//! Whole charts rendered beside what the real Helm printed for them.
//!
//! `tests/charts/NAME` is a chart of our own, `tests/golden/NAME.yaml` the recorded output of
//! `helm template rel NAME -n ns`. Where `helm` is on PATH the recording itself is checked too.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

mod archives;
mod charts;
mod errors;
mod flags;
mod oracle;
