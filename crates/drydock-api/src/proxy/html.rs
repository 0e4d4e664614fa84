//! Leads the links of HTML pages back through the proxy, while the page travels.
//!
//! Only opening tags are touched, and of those only attributes that hold addresses. A tag longer than [`MAX_TAG`], and
//! pages packed in another way than gzip, pass as they are.

use std::io::Write as _;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use super::headers::Links;

/// Bytes of a tag that is waited for until its end comes.
const MAX_TAG: usize = 64 << 10;
/// What is unpacked at once, so that a small packet does not become a large one in memory.
const STEP: usize = 4 << 10;
/// What holds addresses in HTML.
const ATTRIBUTES: &[&str] = &[
    "action",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
];
/// Elements whose content is no markup.
const RAW: &[&str] = &["script", "style", "textarea", "title", "noscript", "iframe", "xmp"];

/// Unpacks what comes in, and packs what goes out.
type Packing = (GzDecoder<Vec<u8>>, GzEncoder<Vec<u8>>);

/// A page on its way.
pub(super) struct Rewriter {
    links: Links,
    packing: Option<Packing>,
    /// The beginning of a tag whose end has not come yet.
    pending: Vec<u8>,
    /// The element whose end is looked for, when nothing inside it is markup.
    raw: Option<&'static str>,
}

impl Rewriter {
    /// `None` when the answer is no page, or is packed in a way we do not know.
    pub fn of(headers: &mut HeaderMap, links: Links) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let media_type = text(CONTENT_TYPE).split(';').next().unwrap_or("").trim();
        let packing = match (media_type, text(CONTENT_ENCODING)) {
            ("text/html", "") => None,
            ("text/html", "gzip") => {
                Some((GzDecoder::new(Vec::new()), GzEncoder::new(Vec::new(), Compression::fast())))
            }
            _ => return None,
        };
        headers.remove(CONTENT_LENGTH);
        Some(Self { links, packing, pending: Vec::new(), raw: None })
    }

    /// What can be sent on after this piece.
    fn feed(&mut self, piece: &[u8]) -> std::io::Result<Vec<u8>> {
        let Some((mut unpack, mut pack)) = self.packing.take() else { return Ok(self.markup(piece)) };
        for step in piece.chunks(STEP) {
            unpack.write_all(step)?;
            unpack.flush()?;
            let markup = self.markup(&std::mem::take(unpack.get_mut()));
            pack.write_all(&markup)?;
        }
        let out = std::mem::take(pack.get_mut());
        self.packing = Some((unpack, pack));
        Ok(out)
    }

    /// What is left when nothing more comes.
    fn end(&mut self) -> std::io::Result<Vec<u8>> {
        let rest = std::mem::take(&mut self.pending);
        match self.packing.take() {
            None => Ok(rest),
            Some((mut unpack, mut pack)) => {
                unpack.try_finish()?;
                let mut markup = self.markup(&std::mem::take(unpack.get_mut()));
                markup.append(&mut self.pending);
                pack.write_all(&rest)?;
                pack.write_all(&markup)?;
                pack.finish()
            }
        }
    }

    fn markup(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.pending);
        text.extend_from_slice(piece);
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut rest = text.as_slice();
        while let Some(start) = rest.iter().position(|byte| *byte == b'<') {
            out.extend_from_slice(&rest[..start]);
            rest = &rest[start..];
            let Some(end) = end_of(rest, self.raw) else {
                if rest.len() > MAX_TAG {
                    break;
                }
                self.pending = rest.to_vec();
                return out;
            };
            let (token, after) = rest.split_at(end);
            self.token(token, &mut out);
            rest = after;
        }
        out.extend_from_slice(rest);
        out
    }

    /// One tag, comment, or lone `<`.
    fn token(&mut self, token: &[u8], out: &mut Vec<u8>) {
        let name = tag_name(token);
        if let Some(raw) = self.raw {
            if token.starts_with(b"</") && name == raw {
                self.raw = None;
            }
            return out.extend_from_slice(token);
        }
        if token.get(1).is_some_and(u8::is_ascii_alphabetic) {
            self.raw = RAW.iter().find(|raw| **raw == name && !token.ends_with(b"/>")).copied();
            return out.extend_from_slice(&self.tag(token));
        }
        out.extend_from_slice(token);
    }

    /// An opening tag with its links led through the proxy.
    fn tag(&self, tag: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(tag.len() + 64);
        let mut at = 0;
        while let Some(value) = next_value(tag, at) {
            out.extend_from_slice(&tag[at..value.start]);
            match std::str::from_utf8(&tag[value.clone()]) {
                Ok(link) => out.extend_from_slice(self.links.rewritten(link).as_bytes()),
                Err(_) => out.extend_from_slice(&tag[value.clone()]),
            }
            at = value.end;
        }
        out.extend_from_slice(&tag[at..]);
        out
    }
}

/// Where what starts with `<` ends; `None` when that has not come yet.
fn end_of(text: &[u8], raw: Option<&str>) -> Option<usize> {
    let is = |start: &[u8]| text.starts_with(start);
    if let Some(raw) = raw {
        // Inside a script, `<` means nothing unless it ends the script.
        let closing = format!("</{raw}");
        let seen = &text[..text.len().min(closing.len())];
        if !seen.eq_ignore_ascii_case(&closing.as_bytes()[..seen.len()]) {
            return Some(1);
        }
        return find(text, b">").map(|at| at + 1);
    }
    if text.len() < 4 && b"<!--".starts_with(text) {
        return None;
    }
    if is(b"<!--") {
        return find(&text[4..], b"-->").map(|at| at + 7);
    }
    if !text.get(1)?.is_ascii_alphabetic() && !is(b"</") {
        return Some(1);
    }
    let mut quote = None;
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn tag_name(token: &[u8]) -> String {
    let name = token.iter().skip_while(|byte| matches!(byte, b'<' | b'/'));
    name.take_while(|byte| byte.is_ascii_alphanumeric())
        .map(|byte| byte.to_ascii_lowercase() as char)
        .collect()
}

/// The next value of an attribute that holds an address.
fn next_value(tag: &[u8], mut at: usize) -> Option<std::ops::Range<usize>> {
    loop {
        let equals = at + tag.get(at..)?.iter().position(|byte| *byte == b'=')?;
        let before = tag[at..equals].trim_ascii_end();
        let name = before.rsplit(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-').next().unwrap_or(b"");
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let start = equals + 1 + tag[equals + 1..].iter().position(|byte| !byte.is_ascii_whitespace())?;
        let value = match tag[start] {
            quote @ (b'"' | b'\'') => {
                let length = tag[start + 1..].iter().position(|byte| *byte == quote)?;
                start + 1..start + 1 + length
            }
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'>';
                start..start + tag[start..].iter().position(ends)?
            }
        };
        if ATTRIBUTES.contains(&name.as_str()) {
            return Some(value);
        }
        at = value.end.max(start + 1);
    }
}

pub(super) fn rewritten(body: Body, rewriter: Rewriter) -> Body {
    let state = Some((body.into_data_stream(), rewriter));
    let pieces = stream::try_unfold(state, |state| async move {
        let Some((mut body, mut rewriter)) = state else { return Ok::<_, axum::Error>(None) };
        match body.next().await {
            Some(piece) => {
                let out = rewriter.feed(&piece?).map_err(axum::Error::new)?;
                Ok(Some((Bytes::from(out), Some((body, rewriter)))))
            }
            None => Ok(Some((Bytes::from(rewriter.end().map_err(axum::Error::new)?), None))),
        }
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewriter(encoding: &'static str) -> Rewriter {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap());
        if !encoding.is_empty() {
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        }
        Rewriter::of(&mut headers, Links::new("/p/x", "/x", Vec::new())).unwrap()
    }

    #[track_caller]
    fn check(page: &str, expect: &str) {
        // However the page is cut, the outcome is the same.
        for size in [1, 3, 7, page.len()] {
            let mut rewriter = rewriter("");
            let pieces = page.as_bytes().chunks(size.max(1));
            let mut out: Vec<u8> = pieces.flat_map(|piece| rewriter.feed(piece).unwrap()).collect();
            out.extend(rewriter.end().unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), expect, "cut every {size} bytes");
        }
    }

    #[test]
    fn links_from_the_root_are_led_through_the_proxy() {
        check(r#"<a class="/b" href="/b">/b</a>"#, r#"<a class="/b" href="/p/b">/b</a>"#);
        check("<IMG SRC='/i.png' alt=x>", "<IMG SRC='/p/i.png' alt=x>");
        check("<form method=post action=/go>", "<form method=post action=/p/go>");
        check(r#"<a href="b">x</a> 1 < 2"#, r#"<a href="b">x</a> 1 < 2"#);
    }

    #[test]
    fn scripts_and_comments_are_left_alone() {
        check(r#"<script>if (a<b) '<a href="/b">'</script>"#, r#"<script>if (a<b) '<a href="/b">'</script>"#);
        check(r#"<!-- <a href="/b"> --><a href="/b">"#, r#"<!-- <a href="/b"> --><a href="/p/b">"#);
        check(
            r#"<script src="/s.js"></script><a href=/b >"#,
            r#"<script src="/p/s.js"></script><a href=/p/b >"#,
        );
    }

    #[test]
    fn a_page_that_breaks_off_comes_as_far_as_it_goes() {
        check("<p>a<a href=", "<p>a<a href=");
        check("<!-", "<!-");
        check("", "");
    }

    #[test]
    fn a_packed_page_is_packed_again() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(br#"<a href="/b">"#).unwrap();
        let packed = packed.finish().unwrap();
        let mut rewriter = rewriter("gzip");
        let mut out = rewriter.feed(&packed[..9]).unwrap();
        out.extend(rewriter.feed(&packed[9..]).unwrap());
        out.extend(rewriter.end().unwrap());
        let mut plain = GzDecoder::new(Vec::new());
        plain.write_all(&out).unwrap();
        assert_eq!(String::from_utf8(plain.finish().unwrap()).unwrap(), r#"<a href="/p/b">"#);
    }
}
