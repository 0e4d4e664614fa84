//! Notations of Go's standard library that Helm's output consists of: times, tables, JSON. Pure.

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Number, Value};

/// A time with the offset it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    at: DateTime,
    offset_s: i32,
}

/// Reads RFC 3339; `None` for no time at all, which Go prints as its zero time or not.
fn read(text: &str) -> Option<Stamp> {
    let pieces = Pieces::parse(text).ok()?;
    let at = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    Some(Stamp { at, offset_s: pieces.to_numeric_offset().map_or(0, |offset| offset.seconds()) })
}

/// `time.ANSIC`: `Sat Nov 21 14:05:48 2026`.
pub fn ansic(text: &str) -> String {
    match read(text) {
        Some(stamp) => stamp.at.strftime("%a %b %e %H:%M:%S %Y").to_string(),
        None => "Mon Jan  1 00:00:00 0001".to_owned(),
    }
}

/// `time.Time.String`: `2026-11-21 14:05:48.5 +0000 UTC`; `-` for no time.
pub fn string(text: &str) -> String {
    let Some(stamp) = read(text) else { return "-".to_owned() };
    let day = stamp.at.strftime("%Y-%m-%d %H:%M:%S");
    format!("{day}{} {} {}", fraction(stamp.at), offset(stamp.offset_s), zone(stamp))
}

/// `time.RFC3339`, without fractions.
pub fn rfc3339(text: &str) -> String {
    let Some(stamp) = read(text) else { return "0001-01-01T00:00:00Z".to_owned() };
    let zone = match stamp.offset_s {
        0 => "Z".to_owned(),
        seconds => {
            let plain = offset(seconds);
            format!("{}:{}", &plain[..3], &plain[3..])
        }
    };
    format!("{}{zone}", stamp.at.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// A layout of Go, the reference time spelled out: `2006-01-02 15:04`.
pub fn layout(text: &str, layout: &str) -> String {
    /// Longer spellings before their beginnings.
    const WORDS: [(&str, &str); 22] = [
        ("January", "%B"),
        ("Jan", "%b"),
        ("Monday", "%A"),
        ("Mon", "%a"),
        ("MST", "\u{1}"),
        ("2006", "%Y"),
        ("-0700", "\u{2}"),
        ("-07:00", "\u{3}"),
        ("Z0700", "\u{4}"),
        ("Z07:00", "\u{5}"),
        ("01", "%m"),
        ("02", "%d"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("15", "%H"),
        ("PM", "%p"),
        ("_2", "%e"),
        ("1", "%-m"),
        ("2", "%-d"),
        ("%", "%%"),
    ];
    let Some(stamp) = read(text) else { return "-".to_owned() };
    let (mut pattern, mut rest) = (String::new(), layout);
    while let Some(first) = rest.chars().next() {
        match WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            Some((word, meaning)) => {
                pattern.push_str(meaning);
                rest = &rest[word.len()..];
            }
            None => {
                pattern.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    let plain = offset(stamp.offset_s);
    let colon = format!("{}:{}", &plain[..3], &plain[3..]);
    let zulu = |text: &str| if stamp.offset_s == 0 { "Z".to_owned() } else { text.to_owned() };
    let told = stamp.at.strftime(&pattern).to_string();
    told.replace('\u{1}', &zone(stamp))
        .replace('\u{2}', &plain)
        .replace('\u{3}', &colon)
        .replace('\u{4}', &zulu(&plain))
        .replace('\u{5}', &zulu(&colon))
}

fn fraction(at: DateTime) -> String {
    let text = format!(".{:09}", at.subsec_nanosecond());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn offset(seconds: i32) -> String {
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// The local zone's name where its offset fits, as Go assumes; else the offset itself.
fn zone(stamp: Stamp) -> String {
    let local = stamp.at.to_zoned(TimeZone::system()).ok();
    match local {
        Some(local) if local.offset().seconds() == stamp.offset_s && stamp.offset_s != 0 => {
            local.strftime("%Z").to_string()
        }
        _ if stamp.offset_s == 0 => "UTC".to_owned(),
        _ => offset(stamp.offset_s),
    }
}

/// `json.Marshal`: one line, numbers without needless fractions, `<`, `>` and `&` escaped.
pub fn json<T: Serialize>(value: &T) -> Result<String, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    // In JSON these stand inside strings only.
    Ok(text
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

/// Numbers that are whole, as Go writes floats.
pub fn whole_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                Value::Number(Number::from(float as i64))
            }
            _ => value.clone(),
        },
        Value::Array(items) => Value::Array(items.iter().map(whole_numbers).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), whole_numbers(value))).collect())
        }
        other => other.clone(),
    }
}

/// Columns as Helm lays them out: padded, and a tab between them.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("\t")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        let text = "2026-11-01T04:05:48.120Z";
        assert_eq!(ansic(text), "Sun Nov  1 04:05:48 2026");
        assert_eq!(string(text), "2026-11-01 04:05:48.12 +0000 UTC");
        assert_eq!(rfc3339(text), "2026-11-01T04:05:48Z");
        assert_eq!(rfc3339("2026-11-01T04:05:48.5+01:30"), "2026-11-01T04:05:48+01:30");
        assert_eq!(string(""), "-");
    }

    #[test]
    fn a_layout_is_the_reference_time() {
        assert_eq!(layout("2026-11-01T14:05:48Z", "Jan _2 2006 15:04:05 MST"), "Nov  1 2026 14:05:48 UTC");
        assert_eq!(layout("2026-11-01T14:05:48Z", "02.01.06 03:04PM Z0700"), "01.11.26 02:05PM Z");
        assert_eq!(
            layout("2026-11-01T14:05:48-05:00", "2006-01-02T15:04:05-07:00"),
            "2026-11-01T14:05:48-05:00"
        );
    }

    #[test]
    fn columns_are_padded_to_the_end() {
        let rows = [vec!["NAME".to_owned(), "N".to_owned()], vec!["a".to_owned(), "12".to_owned()]];
        assert_eq!(table(&rows), "NAME\tN \na   \t12\n");
    }

    #[test]
    fn whole_floats_lose_their_fraction() {
        assert_eq!(whole_numbers(&serde_json::json!({ "a": [1.0, 1.5] })).to_string(), r#"{"a":[1,1.5]}"#);
    }
}
