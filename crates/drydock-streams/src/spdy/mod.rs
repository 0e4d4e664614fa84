//! SPDY/3.1, as far as a server of streams needs it.
//!
//! [`frame`] turns bytes into frames and back without any I/O, `headers` is its compression, [`Mux`] runs a connection
//! of many streams over any pair of reader and writer. kubectl up to 1.29 (exec) and 1.30 (port-forward) speaks it
//! directly, newer ones put the same bytes into WebSocket messages.
//!
//! **Invariant:** whatever a peer sends, memory stays bounded and nothing panics.

mod connection;
mod dictionary;
pub mod frame;
mod headers;
mod mux;
mod stream;
mod window;

pub use frame::{Decoder, Encoder, Error, Frame};
pub use headers::Headers;
pub use mux::{Limits, Mux};
pub use stream::Stream;

/// Why a stream is reset; the numbers are the protocol's.
pub mod reset {
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INVALID_STREAM: u32 = 2;
    pub const REFUSED_STREAM: u32 = 3;
    pub const CANCEL: u32 = 5;
    pub const FLOW_CONTROL_ERROR: u32 = 7;
}
