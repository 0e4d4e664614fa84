//! Automation for people who work on Seaworthy.
fn main() {}
