//! One command, one file: a `clap` struct whose doc comments are the help text, and its `run`.

pub mod completions;
pub mod dependency;
pub mod diff;
pub mod down;
pub mod drydock;
pub mod get;
pub mod history;
pub mod image;
pub mod install;
pub mod lint;
pub mod list;
pub mod logs;
pub mod package;
pub mod pull;
pub mod push;
pub mod registry;
pub mod rollback;
pub mod show;
pub mod status;
pub mod template;
pub mod test;
pub mod uninstall;
pub mod up;
pub mod upgrade;
pub mod verify;
