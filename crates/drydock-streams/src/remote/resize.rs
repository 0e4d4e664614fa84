//! The client's window size: a sequence of JSON objects without anything between them.

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use crate::{Reader, Size};

/// An object longer than this is no size.
const MAX_BYTES: usize = 4096;

/// Tells the session every size the client sends, until either is gone.
pub(crate) async fn forward(from: Option<Reader>, to: Option<mpsc::Sender<Size>>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    let mut text = Vec::new();
    let mut piece = [0; 512];
    while let Ok(length) = from.read(&mut piece).await {
        text.extend_from_slice(&piece[..length]);
        for size in take(&mut text) {
            if to.send(size).await.is_err() {
                return;
            }
        }
        if length == 0 || text.len() > MAX_BYTES {
            return;
        }
    }
}

/// The whole objects at the beginning of `text`, which keeps what is not whole.
fn take(text: &mut Vec<u8>) -> Vec<Size> {
    let mut objects = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let mut sizes = Vec::new();
    let mut used = 0;
    while let Some(Ok(object)) = objects.next() {
        used = objects.byte_offset();
        let side = |name: &str| object[name].as_u64().and_then(|side| u16::try_from(side).ok());
        if let (Some(columns), Some(rows)) = (side("Width"), side("Height"))
            && (columns, rows) != (0, 0)
        {
            sizes.push((columns, rows));
        }
    }
    text.drain(..used);
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_found_in_any_pieces() {
        let mut text = b"{\"Width\":80,\"Height\":24}\n{\"Width\":1".to_vec();
        assert_eq!(take(&mut text), [(80, 24)]);
        text.extend_from_slice(b"20,\"Height\":40}");
        assert_eq!(take(&mut text), [(120, 40)]);
        assert!(text.is_empty());
    }

    #[test]
    fn what_is_no_size_is_passed_over() {
        let mut text = b"{\"Width\":99999,\"Height\":1}{\"Width\":0,\"Height\":0}[1]{}".to_vec();
        assert_eq!(take(&mut text), []);
    }
}
