//! The codec against objects that a Go server wrote, and against input that nobody wrote.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod golden;
mod hostile;
mod zeros;
