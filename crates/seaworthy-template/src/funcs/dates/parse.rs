//! `time.Parse`: a text by a layout, with Go's sentence for what does not fit.

use jiff::tz::Offset;

use super::layout::{DAYS, MONTHS, fraction_length, next_piece};
use crate::gofmt::quote;
use crate::moment::{Moment, Zone};

/// Why a piece was not found.
enum Misfit {
    /// The text does not look like the piece.
    Shape,
    /// It does, but there is no such month, hour, ...
    Range(&'static str),
}

type Taken<T> = Result<T, Misfit>;

/// The moment that `value` names.
pub fn parse(layout: &str, value: &str) -> Result<Moment, String> {
    let whole = quote(value.as_bytes());
    let mismatch = |rest: &str, piece: &str| {
        let (layout, rest, piece) =
            (quote(layout.as_bytes()), quote(rest.as_bytes()), quote(piece.as_bytes()));
        format!("parsing time {whole} as {layout}: cannot parse {rest} as {piece}")
    };
    let mut fields = Fields { year: 1, month: 1, day: 1, ..Fields::default() };
    let (mut rest, mut value) = (layout, value);
    loop {
        let (literal, piece, tail) = next_piece(rest);
        value = value.strip_prefix(literal).ok_or_else(|| mismatch(value, literal))?;
        if piece.is_empty() {
            break;
        }
        let before = value;
        value = fields.take(piece, value).map_err(|misfit| match misfit {
            Misfit::Shape => mismatch(before, piece),
            Misfit::Range(what) => format!("parsing time {whole}: {what} out of range"),
        })?;
        if matches!(piece, "05" | "5") && value.starts_with(['.', ',']) && fraction_length(tail) == 0 {
            value = fields.take_fraction(value).map_err(|_| mismatch(before, piece))?;
        }
        rest = tail;
    }
    if !value.is_empty() {
        return Err(format!("parsing time {whole}: extra text: {}", quote(value.as_bytes())));
    }
    fields.moment().ok_or_else(|| format!("parsing time {whole}: day out of range"))
}

#[derive(Default)]
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    pm: Option<bool>,
    offset_s: i32,
}

impl Fields {
    fn moment(&self) -> Option<Moment> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let (year, month, day) = (self.year, self.month, self.day);
        let civil = jiff::civil::DateTime::new(year, month, day, hour, self.minute, self.second, self.nanos);
        let at = Offset::from_seconds(self.offset_s).ok()?.to_timestamp(civil.ok()?).ok()?;
        Some(Moment { at, zone: if self.offset_s == 0 { Zone::Utc } else { Zone::Offset(self.offset_s) } })
    }

    fn take<'v>(&mut self, piece: &str, value: &'v str) -> Taken<&'v str> {
        match piece {
            "January" | "Jan" => self.take_month(piece, value),
            "Monday" | "Mon" => {
                let fits = |day: &&&str| value.starts_with(if piece == "Mon" { &day[..3] } else { day });
                let day = DAYS.iter().find(fits).ok_or(Misfit::Shape)?;
                Ok(&value[if piece == "Mon" { 3 } else { day.len() }..])
            }
            "PM" | "pm" => {
                let word = value.get(..2).filter(|word| ["am", "pm", "AM", "PM"].contains(word));
                self.pm = Some(word.ok_or(Misfit::Shape)?.eq_ignore_ascii_case("pm"));
                Ok(&value[2..])
            }
            "MST" => value.get(3..).ok_or(Misfit::Shape),
            zone if zone.starts_with(['-', 'Z']) => self.take_offset(zone, value),
            fraction if fraction.starts_with(['.', ',']) => self.take_fraction(value),
            number => self.take_number(number, value),
        }
    }

    fn take_month<'v>(&mut self, piece: &str, value: &'v str) -> Taken<&'v str> {
        let length = |month: &str| if piece == "Jan" { 3 } else { month.len() };
        let at = MONTHS.iter().position(|month| value.starts_with(&month[..length(month)]));
        let at = at.ok_or(Misfit::Shape)?;
        self.month = at as i8 + 1;
        Ok(&value[length(MONTHS[at])..])
    }

    fn take_number<'v>(&mut self, piece: &str, value: &'v str) -> Taken<&'v str> {
        let (min, max) = match piece {
            "2006" => (4, 4),
            "002" | "__2" => (3, 3),
            "1" | "2" | "_2" | "3" | "4" | "5" | "15" => (1, 2),
            _ => (2, 2),
        };
        let value = if piece == "_2" { value.trim_start_matches(' ') } else { value };
        let length = value.bytes().take(max).take_while(u8::is_ascii_digit).count();
        if length < min {
            return Err(Misfit::Shape);
        }
        let number: i16 = value[..length].parse().map_err(|_| Misfit::Shape)?;
        self.set(piece, number)?;
        Ok(&value[length..])
    }

    fn set(&mut self, piece: &str, number: i16) -> Taken<()> {
        let within = |low: i16, high: i16, what: &'static str| {
            if (low..=high).contains(&number) { Ok(number as i8) } else { Err(Misfit::Range(what)) }
        };
        match piece {
            "2006" => self.year = number,
            "06" => self.year = number + if number >= 69 { 1900 } else { 2000 },
            "01" | "1" => self.month = within(1, 12, "month")?,
            "02" | "2" | "_2" => self.day = within(0, 31, "day")?,
            "15" => self.hour = within(0, 23, "hour")?,
            "03" | "3" => self.hour = within(0, 12, "hour")?,
            "04" | "4" => self.minute = within(0, 59, "minute")?,
            "05" | "5" => self.second = within(0, 59, "second")?,
            _ => {}
        }
        Ok(())
    }

    fn take_offset<'v>(&mut self, piece: &str, value: &'v str) -> Taken<&'v str> {
        if let Some(rest) = value.strip_prefix('Z').filter(|_| piece.starts_with('Z')) {
            return Ok(rest);
        }
        let sign = match value.chars().next() {
            Some('+') => 1,
            Some('-') => -1,
            _ => return Err(Misfit::Shape),
        };
        let text = value.get(..piece.len()).ok_or(Misfit::Shape)?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let number = |range| digits.get(range).map_or(Ok(0), |part: &str| part.parse::<i32>());
        let hours = number(0..2).map_err(|_| Misfit::Shape)?;
        let minutes = number(2..4).map_err(|_| Misfit::Shape)?;
        self.offset_s = sign * (hours * 3600 + minutes * 60);
        Ok(&value[piece.len()..])
    }

    fn take_fraction<'v>(&mut self, value: &'v str) -> Taken<&'v str> {
        let Some(body) = value.strip_prefix(['.', ',']) else { return Ok(value) };
        let len = body.bytes().take_while(u8::is_ascii_digit).count();
        let padded: String = body[..len].chars().chain(std::iter::repeat('0')).take(9).collect();
        self.nanos = padded.parse().map_err(|_| Misfit::Shape)?;
        Ok(&body[len..])
    }
}
