//! Go's reference layouts: which pieces they consist of, and how each is printed.

use jiff::tz::Offset;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Reference pieces, longest first where one begins another.
const PIECES: [&str; 32] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00:00",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00",
    "Z0700",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "__2",
    "_2",
    "1",
    "2",
    "3",
    "4",
    "5",
    ".000",
    ".999",
    ",000",
];

/// Splits a layout into its next reference piece: literal before, piece, rest.
pub(super) fn next_piece(layout: &str) -> (&str, &str, &str) {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        for piece in PIECES {
            if !rest.starts_with(piece) {
                continue;
            }
            if piece == "Jan" && rest[3..].starts_with(|c: char| c.is_lowercase()) {
                continue;
            }
            if piece == "Mon" && rest[3..].starts_with(|c: char| c.is_lowercase()) {
                continue;
            }
            let length = if piece.starts_with(['.', ',']) { fraction_length(rest) } else { piece.len() };
            if length > 0 {
                return (&layout[..at], &rest[..length], &rest[length..]);
            }
        }
        let length = fraction_length(rest);
        if length > 0 {
            return (&layout[..at], &rest[..length], &rest[length..]);
        }
    }
    (layout, "", "")
}

/// Length of `.000` or `.999` of any width, 0 when this is none.
pub(super) fn fraction_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.len() < 2 || !matches!(bytes[0], b'.' | b',') || !matches!(bytes[1], b'0' | b'9') {
        return 0;
    }
    let run = bytes[1..].iter().take_while(|b| **b == bytes[1]).count();
    if bytes.get(1 + run).is_some_and(u8::is_ascii_digit) { 0 } else { 1 + run }
}

pub(super) fn format(layout: &str, time: &jiff::Zoned, zone_name: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    loop {
        let (literal, piece, tail) = next_piece(rest);
        out.push_str(literal);
        if piece.is_empty() {
            return out;
        }
        match piece {
            "MST" => out.push_str(zone_name),
            piece => out.push_str(&format_piece(piece, time)),
        }
        rest = tail;
    }
}

fn format_piece(piece: &str, time: &jiff::Zoned) -> String {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let month = MONTHS[time.month() as usize - 1];
    let day = DAYS[time.weekday().to_monday_zero_offset() as usize];
    match piece {
        "January" => month.into(),
        "Jan" => month[..3].into(),
        "Monday" => day.into(),
        "Mon" => day[..3].into(),
        "2006" => format!("{:04}", time.year()),
        "06" => format!("{:02}", time.year().rem_euclid(100)),
        "01" => format!("{:02}", time.month()),
        "1" => time.month().to_string(),
        "02" => format!("{:02}", time.day()),
        "_2" => format!("{:2}", time.day()),
        "__2" => format!("{:3}", time.day_of_year()),
        "2" => time.day().to_string(),
        "002" => format!("{:03}", time.day_of_year()),
        "15" => format!("{:02}", time.hour()),
        "03" => format!("{hour12:02}"),
        "3" => hour12.to_string(),
        "04" => format!("{:02}", time.minute()),
        "4" => time.minute().to_string(),
        "05" => format!("{:02}", time.second()),
        "5" => time.second().to_string(),
        "PM" => if time.hour() >= 12 { "PM" } else { "AM" }.into(),
        "pm" => if time.hour() >= 12 { "pm" } else { "am" }.into(),
        zone if zone.starts_with(['-', 'Z']) => format_offset(zone, time.offset()),
        fraction => format_fraction(fraction, time.subsec_nanosecond()),
    }
}

fn format_offset(piece: &str, offset: Offset) -> String {
    let seconds = offset.seconds();
    if piece.starts_with('Z') && seconds == 0 {
        return "Z".into();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes, rest) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    match piece.trim_start_matches(['-', 'Z']) {
        "07:00:00" => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
        "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        "0700" => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}"),
    }
}

fn format_fraction(piece: &str, nanos: i32) -> String {
    let digits = piece.len() - 1;
    let text: String = format!("{nanos:09}").chars().chain(std::iter::repeat('0')).take(digits).collect();
    if piece.as_bytes()[1] == b'0' {
        return format!("{}{text}", &piece[..1]);
    }
    match text.trim_end_matches('0') {
        "" => String::new(),
        kept => format!("{}{kept}", &piece[..1]),
    }
}
