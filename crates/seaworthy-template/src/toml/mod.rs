//! TOML as the library behind `toToml` and `fromToml` writes and reads it.

mod read;
mod write;

pub use read::read;
pub use write::write;
