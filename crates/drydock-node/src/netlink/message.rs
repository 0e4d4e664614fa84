//! Building netlink messages: a header, a family's fixed part, then nested attributes.

pub const HEADER_BYTES: usize = 16;
/// The type of an acknowledgement.
pub const ERROR: u16 = libc::NLMSG_ERROR as u16;

const ANSWER: u16 = libc::NLM_F_ACK as u16;
const NESTED: u16 = libc::NLA_F_NESTED as u16;

/// One message under construction.
#[derive(Debug)]
pub struct Message {
    bytes: Vec<u8>,
    flags: u16,
}

impl Message {
    /// `fixed` is the part that every message of this kind begins with.
    pub fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        let mut message = Self { bytes, flags: (libc::NLM_F_REQUEST | flags) as u16 };
        message.pad();
        message
    }

    pub fn want_answer(&mut self) {
        self.flags |= ANSWER;
    }

    pub fn wants_answer(&self) -> bool {
        self.flags & ANSWER != 0
    }

    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        // Longest is a file name or an address; a name is checked by the kernel.
        let length = (4 + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// A zero-terminated string.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// A number in network order, as nftables wants all of its numbers.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Bytes that are no attribute, inside a nest that wants them.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    pub fn finish(&mut self, sequence: u32) -> &[u8] {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&self.flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_their_length_is_true() {
        let mut message = Message::new(1, 0, &[7]);
        message.text(3, "ab");
        let bytes = message.finish(9);
        assert_eq!(bytes.len(), 16 + 4 + 8);
        assert_eq!(bytes[20..28], [7, 0, 3, 0, b'a', b'b', 0, 0]);
    }

    #[test]
    fn a_nest_counts_what_is_in_it() {
        let mut message = Message::new(1, 0, &[]);
        message.nested(5, |nest| {
            nest.number(1, 2);
        });
        assert_eq!(message.finish(1)[16..20], [12, 0, 5, 0x80]);
    }
}
