//! The DNS message format, as much of it as an authoritative server and a forwarder need.
//!
//! Everything here reads bytes that a hostile pod may have written: every length is checked, compression
//! pointers only ever go backwards and are counted, and nothing panics. Unknown record types are skipped.
//!
//! Start at [`parse_query`] and [`Response::encode`].

use std::net::{Ipv4Addr, Ipv6Addr};

/// The largest name on the wire, in bytes, and the largest label.
const NAME_MAX_BYTES: usize = 255;
const LABEL_MAX_BYTES: usize = 63;
const HEADER_BYTES: usize = 12;
/// Records looked at per message; a query with more is malformed for our purposes.
const RECORDS_MAX: usize = 128;
/// What a client without EDNS can receive over UDP, and what we send at most to one with it.
const UDP_MIN_BYTES: usize = 512;
const UDP_MAX_BYTES: usize = 1232;

pub const TYPE_A: u16 = 1;
pub const TYPE_NS: u16 = 2;
pub const TYPE_CNAME: u16 = 5;
pub const TYPE_SOA: u16 = 6;
pub const TYPE_PTR: u16 = 12;
pub const TYPE_TXT: u16 = 16;
pub const TYPE_AAAA: u16 = 28;
pub const TYPE_SRV: u16 = 33;
pub const TYPE_OPT: u16 = 41;
pub const TYPE_ANY: u16 = 255;
pub const CLASS_IN: u16 = 1;

/// The answer's code, RFC 1035 section 4.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the message ends before its {0} does")]
    Short(&'static str),
    #[error("the message has a name that is too long or loops")]
    BadName,
    #[error("the message is not a query")]
    NotAQuery,
}

/// A domain name in lower case, label by label; bytes outside printable ASCII (and dots inside a label)
/// are written `\ddd`, so a strange name compares unequal to every ordinary one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name(Vec<String>);

impl Name {
    /// From dotted text such as `redis.default.svc.cluster.local`; a final dot is ignored.
    pub fn parse(text: &str) -> Self {
        Name(
            text.trim_end_matches('.')
                .split('.')
                .filter(|l| !l.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        )
    }

    pub fn labels(&self) -> &[String] {
        &self.0
    }

    /// The labels in front of `zone`, or `None` when the name is not in it.
    pub fn strip_zone(&self, zone: &Name) -> Option<&[String]> {
        self.0.strip_suffix(zone.0.as_slice())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut budget = NAME_MAX_BYTES - 1;
        for label in &self.0 {
            let bytes = label.as_bytes();
            let length = bytes.len().min(LABEL_MAX_BYTES);
            if length + 1 > budget {
                break;
            }
            budget -= length + 1;
            out.push(length as u8);
            out.extend_from_slice(&bytes[..length]);
        }
        out.push(0);
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { f.write_str(".") } else { f.write_str(&self.0.join(".")) }
    }
}

/// One question, as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub id: u16,
    pub opcode: u8,
    pub recursion_desired: bool,
    pub name: Name,
    pub qtype: u16,
    pub qclass: u16,
    /// The question section byte for byte: clients check that the answer repeats their spelling.
    pub question: Vec<u8>,
    /// The client's UDP size when it sent EDNS.
    pub edns_udp_bytes: Option<u16>,
}

impl Query {
    /// How many bytes an answer over UDP may have.
    pub fn udp_limit(&self) -> usize {
        self.edns_udp_bytes.map_or(UDP_MIN_BYTES, |n| usize::from(n).clamp(UDP_MIN_BYTES, UDP_MAX_BYTES))
    }

    /// A query of our own, for an upstream resolver.
    pub fn encode(id: u16, name: &Name, qtype: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
        name.write(&mut out);
        out.extend_from_slice(&qtype.to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
        out
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(Name),
    Ns(Name),
    Ptr(Name),
    Srv { priority: u16, weight: u16, port: u16, target: Name },
    Txt(String),
    Soa { primary: Name, mailbox: Name, serial: u32, minimum_s: u32 },
}

impl Data {
    fn rtype(&self) -> u16 {
        match self {
            Data::A(_) => TYPE_A,
            Data::Aaaa(_) => TYPE_AAAA,
            Data::Cname(_) => TYPE_CNAME,
            Data::Ns(_) => TYPE_NS,
            Data::Ptr(_) => TYPE_PTR,
            Data::Srv { .. } => TYPE_SRV,
            Data::Txt(_) => TYPE_TXT,
            Data::Soa { .. } => TYPE_SOA,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Data::A(ip) => out.extend_from_slice(&ip.octets()),
            Data::Aaaa(ip) => out.extend_from_slice(&ip.octets()),
            Data::Cname(name) | Data::Ns(name) | Data::Ptr(name) => name.write(out),
            Data::Srv { priority, weight, port, target } => {
                for number in [priority, weight, port] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                target.write(out);
            }
            Data::Txt(text) => {
                let bytes = &text.as_bytes()[..text.len().min(255)];
                out.push(bytes.len() as u8);
                out.extend_from_slice(bytes);
            }
            Data::Soa { primary, mailbox, serial, minimum_s } => {
                primary.write(out);
                mailbox.write(out);
                for number in [*serial, 7200, 1800, 86400, *minimum_s] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub name: Name,
    pub ttl_s: u32,
    pub data: Data,
}

/// What we answer to one [`Query`].
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub rcode: Rcode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    pub additional: Vec<Record>,
}

impl Response {
    pub fn code(rcode: Rcode) -> Self {
        Response { rcode, authoritative: false, answers: vec![], authority: vec![], additional: vec![] }
    }

    /// The message, at most `limit` bytes long: what does not fit is left out and the truncation bit set.
    pub fn encode(&self, query: &Query, limit: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&query.id.to_be_bytes());
        let mut flags = 0x8080u16 | (u16::from(query.opcode & 0xf) << 11) | self.rcode as u16;
        if self.authoritative {
            flags |= 0x0400;
        }
        if query.recursion_desired {
            flags |= 0x0100;
        }
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&query.question);
        let opt_bytes = if query.edns_udp_bytes.is_some() { 11 } else { 0 };
        let room = limit.saturating_sub(opt_bytes);
        let mut truncated = false;
        let mut counts = [0u16; 3];
        for (count, section) in counts.iter_mut().zip([&self.answers, &self.authority, &self.additional]) {
            for record in section {
                let before = out.len();
                write_record(&mut out, record, &query.name);
                if truncated || out.len() > room {
                    out.truncate(before);
                    truncated = true;
                    break;
                }
                *count += 1;
            }
        }
        if query.edns_udp_bytes.is_some() {
            out.push(0);
            out.extend_from_slice(&TYPE_OPT.to_be_bytes());
            out.extend_from_slice(&(UDP_MAX_BYTES as u16).to_be_bytes());
            out.extend_from_slice(&[0; 6]);
            counts[2] += 1;
        }
        if truncated {
            out[2] |= 0x02;
        }
        let questions = u16::from(!query.question.is_empty());
        for (at, count) in [questions, counts[0], counts[1], counts[2]].into_iter().enumerate() {
            out[4 + 2 * at..6 + 2 * at].copy_from_slice(&count.to_be_bytes());
        }
        out
    }
}

fn write_record(out: &mut Vec<u8>, record: &Record, question: &Name) {
    if record.name == *question && !question.labels().is_empty() {
        out.extend_from_slice(&[0xc0, HEADER_BYTES as u8]);
    } else {
        record.name.write(out);
    }
    out.extend_from_slice(&record.data.rtype().to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out.extend_from_slice(&record.ttl_s.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0, 0]);
    record.data.write(out);
    let length = (out.len() - length_at - 2) as u16;
    out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
}

/// Reads a query. A message that is a query but malformed past its header yields `Err` too; the caller
/// answers it with `FORMERR` using [`header_of`].
pub fn parse_query(bytes: &[u8]) -> Result<Query, WireError> {
    let mut reader = Reader { bytes, at: 0 };
    let id = reader.u16("header")?;
    let flags = reader.u16("header")?;
    if flags & 0x8000 != 0 {
        return Err(WireError::NotAQuery);
    }
    let mut counts = [0u16; 4];
    for count in &mut counts {
        *count = reader.u16("header")?;
    }
    if counts[0] != 1 {
        return Err(WireError::Short("question"));
    }
    let question_at = reader.at;
    let name = reader.name()?;
    let qtype = reader.u16("question")?;
    let qclass = reader.u16("question")?;
    let question = bytes[question_at..reader.at].to_vec();
    let mut query = Query {
        id,
        opcode: ((flags >> 11) & 0xf) as u8,
        recursion_desired: flags & 0x0100 != 0,
        name,
        qtype,
        qclass,
        question,
        edns_udp_bytes: None,
    };
    let others = counts[1..].iter().map(|n| usize::from(*n)).sum::<usize>();
    for _ in 0..others.min(RECORDS_MAX) {
        reader.name()?;
        let rtype = reader.u16("record")?;
        let class = reader.u16("record")?;
        reader.u32("record")?;
        let length = usize::from(reader.u16("record")?);
        reader.skip(length)?;
        if rtype == TYPE_OPT {
            query.edns_udp_bytes = Some(class);
        }
    }
    Ok(query)
}

/// The id and flags of a message too broken for [`parse_query`], as a query without a question;
/// `None` when not even that can be read or it is an answer.
pub fn header_of(bytes: &[u8]) -> Option<Query> {
    let mut reader = Reader { bytes, at: 0 };
    let id = reader.u16("header").ok()?;
    let flags = reader.u16("header").ok()?;
    if flags & 0x8000 != 0 || bytes.len() < HEADER_BYTES {
        return None;
    }
    Some(Query {
        id,
        opcode: ((flags >> 11) & 0xf) as u8,
        recursion_desired: flags & 0x0100 != 0,
        name: Name::default(),
        qtype: 0,
        qclass: 0,
        question: Vec::new(),
        edns_udp_bytes: None,
    })
}

/// The address and alias records of an upstream's answer; other types are skipped.
pub fn parse_answers(bytes: &[u8]) -> Result<Vec<Record>, WireError> {
    let mut reader = Reader { bytes, at: 4 };
    let questions = reader.u16("header")?;
    let answers = reader.u16("header")?;
    reader.skip(4)?;
    for _ in 0..usize::from(questions).min(RECORDS_MAX) {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut records = Vec::new();
    for _ in 0..usize::from(answers).min(RECORDS_MAX) {
        let name = reader.name()?;
        let rtype = reader.u16("record")?;
        reader.u16("record")?;
        let ttl_s = reader.u32("record")?;
        let length = usize::from(reader.u16("record")?);
        let data_at = reader.at;
        reader.skip(length)?;
        let raw = &bytes[data_at..reader.at];
        let data = match rtype {
            TYPE_A => <[u8; 4]>::try_from(raw).ok().map(|b| Data::A(b.into())),
            TYPE_AAAA => <[u8; 16]>::try_from(raw).ok().map(|b| Data::Aaaa(b.into())),
            TYPE_CNAME => Some(Data::Cname(Reader { bytes, at: data_at }.name()?)),
            _ => None,
        };
        records.extend(data.map(|data| Record { name, ttl_s, data }));
    }
    Ok(records)
}

/// Whether `answer` answers `query`: same id, an answer, and the same question (upper and lower case alike).
pub fn answers_query(query: &[u8], answer: &[u8]) -> bool {
    if answer.len() < HEADER_BYTES
        || query.len() < HEADER_BYTES
        || answer[..2] != query[..2]
        || answer[2] & 0x80 == 0
    {
        return false;
    }
    let question = |bytes: &[u8]| -> Option<(Name, u16)> {
        let mut reader = Reader { bytes, at: HEADER_BYTES };
        Some((reader.name().ok()?, reader.u16("question").ok()?))
    };
    // An error answer may come without a question.
    answer[4..6] == [0, 0] || question(query) == question(answer)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&[u8], WireError> {
        let end = self.at.checked_add(count).ok_or(WireError::Short(what))?;
        let taken = self.bytes.get(self.at..end).ok_or(WireError::Short(what))?;
        self.at = end;
        Ok(taken)
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        self.take(2, what).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.take(4, what).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn skip(&mut self, count: usize) -> Result<(), WireError> {
        self.take(count, "record").map(|_| ())
    }

    /// A name, following compression pointers strictly backwards; `at` ends behind its first spelling.
    fn name(&mut self) -> Result<Name, WireError> {
        let mut labels = Vec::new();
        let mut total = 0;
        let mut at = self.at;
        let mut after = None;
        loop {
            let length = usize::from(*self.bytes.get(at).ok_or(WireError::Short("name"))?);
            match length >> 6 {
                0 if length == 0 => {
                    self.at = after.unwrap_or(at + 1);
                    return Ok(Name(labels));
                }
                0 => {
                    let label = self.bytes.get(at + 1..at + 1 + length).ok_or(WireError::Short("name"))?;
                    total += length + 1;
                    if total >= NAME_MAX_BYTES {
                        return Err(WireError::BadName);
                    }
                    labels.push(readable(label));
                    at += 1 + length;
                }
                3 => {
                    let low = *self.bytes.get(at + 1).ok_or(WireError::Short("name"))?;
                    let target = (length & 0x3f) << 8 | usize::from(low);
                    after.get_or_insert(at + 2);
                    // Strictly backwards: each jump shrinks `at`, so a loop is impossible.
                    if target >= at {
                        return Err(WireError::BadName);
                    }
                    total += 1;
                    if total >= NAME_MAX_BYTES {
                        return Err(WireError::BadName);
                    }
                    at = target;
                }
                _ => return Err(WireError::BadName),
            }
        }
    }
}

fn readable(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    for byte in label {
        match byte {
            b'.' | b'\\' | 0..=32 | 127.. => text.push_str(&format!("\\{byte:03}")),
            _ => text.push(byte.to_ascii_lowercase() as char),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(name: &str, qtype: u16) -> Vec<u8> {
        Query::encode(7, &Name::parse(name), qtype)
    }

    fn a_record(name: &str, last: u8) -> Record {
        Record { name: Name::parse(name), ttl_s: 5, data: Data::A(Ipv4Addr::new(10, 0, 0, last)) }
    }

    #[test]
    fn a_query_reads_back_as_it_was_written() {
        let query = parse_query(&ask("Redis.Default.svc.cluster.local.", TYPE_SRV)).unwrap();
        assert_eq!(query.name.to_string(), "redis.default.svc.cluster.local");
        assert_eq!((query.id, query.qtype, query.qclass), (7, TYPE_SRV, CLASS_IN));
        assert!(query.recursion_desired);
    }

    #[test]
    fn the_answer_repeats_the_spelling_of_the_question() {
        let mut bytes = ask("redis.local", TYPE_A);
        bytes[13] = b'R';
        let query = parse_query(&bytes).unwrap();
        let answer = Response::code(Rcode::NxDomain).encode(&query, 512);
        assert_eq!(answer[12..], bytes[12..]);
    }

    #[test]
    fn addresses_and_aliases_read_back_from_an_answer() {
        let query = parse_query(&ask("a.example", TYPE_A)).unwrap();
        let alias =
            Record { name: Name::parse("a.example"), ttl_s: 5, data: Data::Cname(Name::parse("b.example")) };
        let answers = vec![alias, a_record("b.example", 9)];
        let response = Response { answers: answers.clone(), ..Response::code(Rcode::NoError) };
        assert_eq!(parse_answers(&response.encode(&query, 512)).unwrap(), answers);
    }

    #[test]
    fn an_answer_too_long_for_udp_is_truncated_and_says_so() {
        let query = parse_query(&ask("big.example", TYPE_A)).unwrap();
        let answers = (0..200).map(|n| a_record("big.example", n)).collect();
        let bytes = Response { answers, ..Response::code(Rcode::NoError) }.encode(&query, query.udp_limit());
        assert!(bytes.len() <= 512);
        assert_eq!(bytes[2] & 0x02, 0x02);
        assert_eq!(
            parse_answers(&bytes).unwrap().len(),
            usize::from(u16::from_be_bytes([bytes[6], bytes[7]]))
        );
    }

    #[test]
    fn a_pointer_that_loops_is_refused() {
        let mut bytes = ask("a", TYPE_A);
        bytes.splice(12.., [0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(parse_query(&bytes), Err(WireError::BadName));
    }

    #[test]
    fn a_dot_inside_a_label_does_not_look_like_two_labels() {
        let mut bytes = ask("aXb", TYPE_A);
        bytes[14] = b'.';
        assert_eq!(parse_query(&bytes).unwrap().name.labels(), ["a\\046b"]);
    }

    proptest! {
        #[test]
        fn no_message_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse_query(&bytes);
            let _ = parse_answers(&bytes);
            let _ = header_of(&bytes);
            let _ = answers_query(&bytes, &bytes);
        }

        #[test]
        fn no_damage_to_a_good_answer_makes_the_reader_panic(at in 0usize..80, byte in any::<u8>()) {
            let query = parse_query(&ask("a.example", TYPE_A)).unwrap();
            let mut bytes = Response {
                answers: vec![a_record("a.example", 1), a_record("b.example", 2)],
                ..Response::code(Rcode::NoError)
            }.encode(&query, 512);
            if let Some(slot) = bytes.get_mut(at) { *slot = byte; }
            let _ = parse_answers(&bytes);
        }

        #[test]
        fn names_survive_the_wire(labels in proptest::collection::vec("[a-z0-9_-]{1,20}", 1..6), id in any::<u16>()) {
            let name = Name::parse(&labels.join("."));
            let query = parse_query(&Query::encode(id, &name, TYPE_A)).unwrap();
            prop_assert_eq!(query.name, name);
            prop_assert_eq!(query.id, id);
        }
    }
}
