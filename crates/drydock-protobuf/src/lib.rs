//! Kubernetes protobuf bodies to JSON values and back, for every published type.
//!
//! For the API: kubectl 1.32 and later, Helm 4 and controller-runtime send and ask for this format. Pure: bytes in, values
//! out, guided by a table made from the published types (`schema/README.md`). What comes out of [`decode`] is what the same
//! Go client would have sent as JSON; what [`encode`] makes is, byte for byte, what a Go server would send.
//!
//! **Invariant:** no input makes it panic, recurse deeply or use much more memory than the same object as JSON would.
//!
//! Start at [`decode`] and [`encode`]; [`encode_event`] and [`frame`] are for watches;
//! [`complete`] is for objects that came as JSON.

mod complete;
mod decode;
mod encode;
pub mod gnostic;
mod scalar;
mod table;
mod wire;

pub use complete::{blank, complete};
pub use decode::{DecodeError, decode};
pub use encode::{EncodeError, encode, encode_event};
pub use table::has_kind;

/// The media type of objects.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// Every object starts with these bytes.
pub const PREFIX: &[u8] = b"k8s\0";

/// One event of a watch as it stands in the stream: its length in four bytes, then itself.
pub fn frame(event: &[u8]) -> Vec<u8> {
    let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(event.len() + 4);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(event);
    framed
}
