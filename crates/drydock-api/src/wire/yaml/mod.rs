//! YAML, as a real API server reads it (by the rules of version 1.1, so `on` and `y` are booleans) and for those who
//! ask for it.

mod read;
mod write;

pub use read::read;
pub use write::write;
