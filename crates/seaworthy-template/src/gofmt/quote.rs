//! Go's quoted strings: writing (`%q`, `strconv.Quote`) and reading (literals in templates).

use std::fmt::Write as _;

/// `strconv.Quote`.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| quote_char(c, &mut out));
        for byte in chunk.invalid() {
            push_escape(&mut out, format_args!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

fn push_escape(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

fn quote_char(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_print(c) => out.push(c),
        c if (c as u32) < 0x80 => push_escape(out, format_args!("\\x{:02x}", c as u32)),
        c if (c as u32) < 0x10000 => push_escape(out, format_args!("\\u{:04x}", c as u32)),
        c => push_escape(out, format_args!("\\U{:08x}", c as u32)),
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // A leading letter keeps `escape_debug` from treating a combining mark as unprintable.
    let mut escaped = String::from('a');
    escaped.push(c);
    !c.is_whitespace() && escaped.escape_debug().nth(1) != Some('\\')
}

/// `strconv.Unquote` of a string or character literal; `None` when it is malformed.
pub fn unquote(literal: &str) -> Option<Vec<u8>> {
    let quote = literal.chars().next()?;
    let body = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote == '`' {
        return Some(body.bytes().filter(|b| *b != b'\r').collect());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => return None,
            '\\' => unescape(&mut chars, quote, &mut out)?,
            c => push_char(&mut out, c),
        }
    }
    Some(out)
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn unescape(chars: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Option<()> {
    let simple = match chars.next()? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote => c as u8,
        'x' => u8::try_from(number(chars, 2, 16, None)?).ok()?,
        c @ '0'..='7' => u8::try_from(number(chars, 2, 8, Some(c))?).ok()?,
        'u' => return push_code(out, number(chars, 4, 16, None)?),
        'U' => return push_code(out, number(chars, 8, 16, None)?),
        _ => return None,
    };
    out.push(simple);
    Some(())
}

fn push_code(out: &mut Vec<u8>, code: u32) -> Option<()> {
    push_char(out, char::from_u32(code)?);
    Some(())
}

fn number(chars: &mut std::str::Chars<'_>, count: usize, radix: u32, first: Option<char>) -> Option<u32> {
    let mut value = first.map_or(Some(0), |c| c.to_digit(radix))?;
    for _ in 0..count {
        value = value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
    }
    Some(value)
}
