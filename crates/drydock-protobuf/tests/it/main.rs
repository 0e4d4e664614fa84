//! The codec against objects that a Go server wrote, and against input that nobody wrote.

mod golden;
mod hostile;
mod zeros;
