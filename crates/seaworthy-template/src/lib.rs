//! Go templates as Helm uses them: text in, text out. No files, no cluster, no clock of its own.
//!
//! [`Templates`] parses files and renders them against a [`Value`]; the functions are Go's, Sprig's and Helm's.
//! Hostile templates end in [`Error::Limit`], never in a hang or an exhausted stack: callers that render what
//! they did not write do so inside [`with_deep_stack`].
//!
//! Start at `eval.rs` for the language, at `funcs/` for a function, at [`yaml`] for what `toYaml` prints.

mod ast;
mod call;
mod engine;
mod error;
mod eval;
mod funcs;
pub mod gofmt;
pub mod json;
mod json_read;
mod lex;
mod moment;
mod parse;
mod toml;
pub mod value;
mod values_methods;
pub mod yaml;

pub use engine::{Limits, Lookup, Options, Resolve, Templates};
pub use error::{Error, ExecError, Failure, ParseError};
pub use funcs::helm::{MESSAGE_END, MESSAGE_START};
pub use funcs::paths::{base as path_base, clean as path_clean};
pub use funcs::versions::{
    compare as version_compare, is_constraint as version_is_constraint, matches as version_matches,
};
pub use value::{Elem, List, Map, MapType, Object, Param, Value};

/// Stack for templates that nest to [`Limits::depth`]; reserved, not used, until they do.
const STACK_BYTES: usize = 512 << 20;

/// Runs `work` on a thread whose stack is deep enough for the deepest allowed template.
pub fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("render".into()).stack_size(STACK_BYTES);
        let handle = thread.spawn_scoped(scope, work)?;
        handle.join().map_err(|panic| {
            let message = panic.downcast_ref::<&str>().map_or("rendering panicked", |text| text);
            std::io::Error::other(message.to_owned())
        })
    })
}
