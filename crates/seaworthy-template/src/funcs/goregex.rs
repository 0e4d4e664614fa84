//! Go's regular expressions in the notation of Rust's `regex`, with Go's sentence for what is wrong.
//!
//! The two agree on what matches; they differ in notation: `\d`, `\w`, `\s` and `\b` are ASCII in Go, braces that
//! repeat nothing are letters, and classes have no operators. Start at [`translate`].

use std::fmt::Write as _;

/// Most repetitions Go allows.
const MAX_REPEAT: u32 = 1_000;

/// The expression for `regex::bytes`, or what Go's parser says.
pub fn translate(pattern: &str) -> Result<String, String> {
    let mut translator =
        Translator { whole: pattern, rest: pattern, out: String::new(), depth: 0, repeat: None };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'p> {
    whole: &'p str,
    rest: &'p str,
    out: String,
    depth: usize,
    /// Where the operator just read began, when the last thing read was one.
    repeat: Option<&'p str>,
}

type Step = Result<(), String>;

fn wrong<T>(code: &str, text: &str) -> Result<T, String> {
    Err(format!("{code}: `{text}`"))
}

/// What was read between two positions.
fn between<'p>(from: &'p str, rest: &str) -> &'p str {
    &from[..from.len() - rest.len()]
}

impl<'p> Translator<'p> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn run(&mut self) -> Step {
        while let Some(c) = self.peek() {
            let start = self.rest;
            let repeat = self.repeat.take();
            match c {
                '*' | '+' | '?' => self.operator(start, repeat)?,
                '{' => self.braces(start, repeat)?,
                '(' => self.group(start)?,
                ')' if self.depth == 0 => return wrong("unexpected )", self.whole),
                ')' => {
                    self.depth -= 1;
                    self.take_as_is();
                }
                '[' => self.class(start)?,
                '\\' => self.escape(start)?,
                '|' | '.' | '^' | '$' => self.take_as_is(),
                c => {
                    self.bump();
                    self.literal(c);
                }
            }
        }
        if self.depth > 0 { wrong("missing closing )", self.whole) } else { Ok(()) }
    }

    fn take_as_is(&mut self) {
        let c = self.bump();
        self.out.extend(c);
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// `*`, `+`, `?` or braces, with the `?` that makes them lazy.
    fn finish_operator(&mut self, start: &'p str, repeat: Option<&'p str>) -> Step {
        if self.rest.starts_with('?') {
            self.take_as_is();
        }
        if let Some(first) = repeat {
            return wrong("invalid nested repetition operator", between(first, self.rest));
        }
        let before = &self.whole[..self.whole.len() - start.len()];
        if before.is_empty()
            || (before.ends_with(['(', '|']) && !before.ends_with(r"\(") && !before.ends_with(r"\|"))
        {
            return wrong("missing argument to repetition operator", between(start, self.rest));
        }
        self.repeat = Some(start);
        Ok(())
    }

    fn operator(&mut self, start: &'p str, repeat: Option<&'p str>) -> Step {
        self.take_as_is();
        self.finish_operator(start, repeat)
    }

    fn braces(&mut self, start: &'p str, repeat: Option<&'p str>) -> Step {
        let Some((min, max, rest)) = repetition(start) else {
            self.bump();
            self.literal('{');
            return Ok(());
        };
        let (Some(min), Some(max)) = (min, max) else {
            return wrong("invalid repeat count", between(start, rest));
        };
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return wrong("invalid repeat count", between(start, rest));
        }
        self.out.push_str(between(start, rest));
        self.rest = rest;
        self.finish_operator(start, repeat)
    }

    fn group(&mut self, start: &'p str) -> Step {
        self.depth += 1;
        let Some(inner) = start.strip_prefix("(?") else {
            self.take_as_is();
            return Ok(());
        };
        if let Some(named) = inner.strip_prefix("P<").or_else(|| inner.strip_prefix('<')) {
            return self.named_group(start, named);
        }
        let flags = inner.find(|c: char| !"imsU-".contains(c)).unwrap_or(inner.len());
        let (flags, rest) = inner.split_at(flags);
        let well_formed = flags.matches('-').count() <= 1 && !flags.ends_with('-');
        match rest.chars().next() {
            Some(end @ (':' | ')')) if well_formed && (end == ':' || !flags.is_empty()) => {
                self.rest = &rest[1..];
                self.depth -= usize::from(end == ')');
                self.out.push_str(between(start, self.rest));
                Ok(())
            }
            None => wrong("missing closing )", self.whole),
            Some(c) => wrong("invalid or unsupported Perl syntax", between(start, &rest[c.len_utf8()..])),
        }
    }

    fn named_group(&mut self, start: &'p str, named: &'p str) -> Step {
        let Some((name, rest)) = named.split_once('>') else {
            return wrong("invalid named capture", start);
        };
        if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            return wrong("invalid named capture", between(start, rest));
        }
        // Rust wants a letter first; the name is kept, `$1` finds the group either way.
        let prefix = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        write!(self.out, "(?P<{prefix}{name}>").expect("writing to a string cannot fail");
        self.rest = rest;
        Ok(())
    }

    fn escape(&mut self, start: &'p str) -> Step {
        let fixed = |c| match c {
            'A' => Some(r"\A"),
            'z' => Some(r"\z"),
            'b' => Some(r"(?-u:\b)"),
            'B' => Some(r"(?-u:\B)"),
            _ => None,
        };
        let letter = start.chars().nth(1);
        if let Some(text) = letter.and_then(fixed) {
            self.rest = &start[2..];
            self.out.push_str(text);
            return Ok(());
        }
        if letter == Some('Q') {
            let quoted = &start[2..];
            let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            self.out.push_str(&regex::escape(text));
            self.rest = rest;
            return Ok(());
        }
        match self.class_escape(start)? {
            Some(class) => write!(self.out, "[{class}]").expect("writing to a string cannot fail"),
            None => {
                let c = self.character(start)?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// `\d`, `\pN` and their like, as the inside of a class.
    fn class_escape(&mut self, start: &'p str) -> Result<Option<String>, String> {
        let Some(letter) = start.chars().nth(1) else { return Ok(None) };
        let text = match letter {
            'd' => "0-9",
            'D' => "[^0-9]",
            's' => r"\t\n\f\r\x20",
            'S' => r"[^\t\n\f\r\x20]",
            'w' => "0-9A-Za-z_",
            'W' => "[^0-9A-Za-z_]",
            'p' | 'P' => return self.unicode_class(start, letter == 'P').map(Some),
            _ => return Ok(None),
        };
        self.rest = &start[2..];
        Ok(Some(text.to_owned()))
    }

    fn unicode_class(&mut self, start: &'p str, negated: bool) -> Result<String, String> {
        let body = &start[2..];
        let (name, rest) = match body.strip_prefix('{') {
            Some(inner) => match inner.split_once('}') {
                Some(parts) => parts,
                None => return wrong("invalid character class range", start),
            },
            None => body.split_at(body.chars().next().map_or(0, char::len_utf8)),
        };
        let (name, negated) = match name.strip_prefix('^') {
            Some(name) => (name, !negated),
            None => (name, negated),
        };
        let class = format!(r"\{}{{{name}}}", if negated { 'P' } else { 'p' });
        if regex::Regex::new(&class).is_err() {
            return wrong("invalid character class range", between(start, rest));
        }
        self.rest = rest;
        Ok(class)
    }

    /// One escaped character.
    fn character(&mut self, start: &'p str) -> Result<char, String> {
        self.rest = &start[1..];
        let Some(c) = self.bump() else {
            return wrong("trailing backslash at end of expression", "");
        };
        let found = match c {
            '1'..='7' if !self.peek().is_some_and(|c| c.is_digit(8)) => None,
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.bump();
                }
                char::from_u32(code)
            }
            'x' => self.hexadecimal(),
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        found.ok_or_else(|| format!("invalid escape sequence: `{}`", between(start, self.rest)))
    }

    fn hexadecimal(&mut self) -> Option<char> {
        let (digits, rest) = match self.rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}')?,
            None => (self.rest.get(..2)?, &self.rest[2..]),
        };
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
        self.rest = rest;
        char::from_u32(code)
    }

    fn class(&mut self, start: &'p str) -> Step {
        self.bump();
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.take_as_is();
        }
        let mut first = true;
        loop {
            match self.peek() {
                None => return wrong("missing closing ]", start),
                Some(']') if !first => {
                    self.take_as_is();
                    return Ok(());
                }
                Some(_) => self.class_item(start)?,
            }
            first = false;
        }
    }

    fn class_item(&mut self, class: &'p str) -> Step {
        let start = self.rest;
        if let Some(inner) = start.strip_prefix("[:")
            && let Some((name, rest)) = inner.split_once(":]")
        {
            let posix = format!("[:{name}:]");
            if regex::Regex::new(&format!("[{posix}]")).is_err() {
                return wrong("invalid character class range", &posix);
            }
            self.out.push_str(&posix);
            self.rest = rest;
            return Ok(());
        }
        if start.starts_with('\\')
            && let Some(inner) = self.class_escape(start)?
        {
            self.out.push_str(&inner);
            return Ok(());
        }
        let low = self.class_character(class)?;
        let mut high = low;
        if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
            self.bump();
            high = self.class_character(class)?;
            if high < low {
                return wrong("invalid character class range", between(start, self.rest));
            }
        }
        let range = format!(r"\x{{{:x}}}-\x{{{:x}}}", low as u32, high as u32);
        self.out.push_str(&range);
        Ok(())
    }

    fn class_character(&mut self, class: &'p str) -> Result<char, String> {
        let start = self.rest;
        match self.peek() {
            None => wrong("missing closing ]", class),
            Some('\\') => self.character(start),
            Some(c) => {
                self.bump();
                Ok(c)
            }
        }
    }
}

/// A count that does not fit is `None` inside; an open end is `Some(None)`.
type Repetition<'p> = (Option<u32>, Option<Option<u32>>, &'p str);

/// `{2}`, `{2,}` or `{2,3}`; anything else is a brace like any other letter.
fn repetition(text: &str) -> Option<Repetition<'_>> {
    let (body, rest) = text.strip_prefix('{')?.split_once('}')?;
    let digits = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        plain && (text == "0" || !text.starts_with('0'))
    };
    let (min, max) = body.split_once(',').map_or((body, None), |(min, max)| (min, Some(max)));
    if !digits(min) || max.is_some_and(|max| !max.is_empty() && !digits(max)) {
        return None;
    }
    let max = match max {
        None => min.parse().ok().map(Some),
        Some("") => Some(None),
        Some(max) => max.parse().ok().map(Some),
    };
    Some((min.parse().ok(), max, rest))
}
