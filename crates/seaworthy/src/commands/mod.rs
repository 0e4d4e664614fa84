//! One command, one file: a `clap` struct whose doc comments are the help text, and its `run`.

pub mod completions;
pub mod down;
pub mod drydock;
pub mod history;
pub mod image;
pub mod logs;
pub mod rollback;
pub mod status;
pub mod template;
pub mod up;
