//! Cron schedules as CronJobs write them: five fields, names, steps, `@hourly`, `@every 90m`.
//!
//! For validation, which wants to know what is wrong, and for the controller, which wants the next time.
//! The rules are those of the parser that Kubernetes uses: Sunday is 0 and never 7, `?` means `*`, and when the day of
//! the month and the day of the week are both restricted, a day that matches either counts. A time that a change
//! of clocks skips is skipped, one that it repeats comes twice.
//!
//! Start at [`Schedule::parse`].

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A schedule that nothing satisfies (30 February) is given up after this many days.
const DAYS_AHEAD: usize = 5 * 366;

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When to do something, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Rule);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Calendar(Calendar),
    Every(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Calendar {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The values a field allows, as bits, and whether it was left open by `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    bits: u64,
    open: bool,
}

/// What a field may hold.
struct Bounds {
    least: u32,
    most: u32,
    /// Names for the values from `least` on.
    names: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { least: 0, most: 59, names: &[] };
const HOUR: Bounds = Bounds { least: 0, most: 23, names: &[] };
const DAY: Bounds = Bounds { least: 1, most: 31, names: &[] };
const MONTH: Bounds = Bounds { least: 1, most: 12, names: MONTHS };
const WEEKDAY: Bounds = Bounds { least: 0, most: 6, names: WEEKDAYS };

/// What is wrong with a schedule, in the words that an API server uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("empty spec string")]
    Empty,
    #[error("expected exactly 5 fields, found {found}: [{fields}]")]
    Fields { found: usize, fields: String },
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("failed to parse duration {0}")]
    Duration(String),
    #[error("too many slashes: {0}")]
    Slashes(String),
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    #[error("failed to parse int from {0}: strconv.Atoi: parsing {0:?}: invalid syntax")]
    Number(String),
    #[error("beginning of range ({start}) below minimum ({least}): {text}")]
    BelowMinimum { start: u32, least: u32, text: String },
    #[error("end of range ({end}) above maximum ({most}): {text}")]
    AboveMaximum { end: u32, most: u32, text: String },
    #[error("beginning of range ({start}) beyond end of range ({end}): {text}")]
    Backwards { start: u32, end: u32, text: String },
    #[error("step of range should be a positive number: {0}")]
    Step(String),
}

impl Schedule {
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.is_empty() {
            return Err(ScheduleError::Empty);
        }
        if text.starts_with('@') {
            return descriptor(text).map(Self);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(ScheduleError::Fields { found: fields.len(), fields: fields.join(" ") });
        };
        Ok(Self(Rule::Calendar(Calendar {
            minutes: field(minutes, &MINUTE)?,
            hours: field(hours, &HOUR)?,
            days: field(days, &DAY)?,
            months: field(months, &MONTH)?,
            weekdays: field(weekdays, &WEEKDAY)?,
        })))
    }

    /// The first time after `after`, or `None` when there is none within five years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.0 {
            Rule::Every(period) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(SignedDuration::try_from(*period).ok()?).ok()
            }
            Rule::Calendar(calendar) => calendar.next(after, zone),
        }
    }
}

impl Calendar {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut day = zone.to_datetime(after).date();
        for _ in 0..DAYS_AHEAD {
            if self.allows(day)
                && let Some(found) = self.first_on(day, after, zone)
            {
                return Some(found);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn allows(&self, day: Date) -> bool {
        let month = self.months.has(day.month().unsigned_abs().into());
        let of_month = self.days.has(day.day().unsigned_abs().into());
        let of_week = self.weekdays.has(day.weekday().to_sunday_zero_offset().unsigned_abs().into());
        let either = !self.days.open && !self.weekdays.open;
        month && if either { of_month || of_week } else { of_month && of_week }
    }

    /// A clock set back repeats an hour, so the earliest of all matching instants is looked for.
    fn first_on(&self, day: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        for hour in (0..24).filter(|hour| self.hours.has(*hour)) {
            if latest(day.at(hour as i8, 59, 59, 0), zone).is_some_and(|end| end <= after) {
                continue;
            }
            let minutes = (0..60).filter(|minute| self.minutes.has(*minute));
            let instants = minutes.flat_map(|minute| instants(day.at(hour as i8, minute as i8, 0, 0), zone));
            let found = instants.filter(|instant| *instant > after).min();
            first = first.into_iter().chain(found).min();
            // Only an hour that comes twice can still hold an earlier instant, and it follows at once.
            if first.is_some_and(|first| first + SignedDuration::from_hours(3) < hour_start(day, hour, zone))
            {
                break;
            }
        }
        first
    }
}

fn hour_start(day: Date, hour: u32, zone: &TimeZone) -> Timestamp {
    latest(day.at(hour as i8, 0, 0, 0), zone).unwrap_or(Timestamp::MIN)
}

/// The instants that a clock on the wall shows as `at`: none, one or two.
fn instants(at: DateTime, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
    let offsets = match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
        AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
        AmbiguousOffset::Gap { .. } => [None, None],
    };
    offsets.into_iter().flatten().filter_map(move |offset| offset.to_timestamp(at).ok())
}

fn latest(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    instants(at, zone).max()
}

impl Field {
    fn has(self, value: u32) -> bool {
        self.bits >> value & 1 == 1
    }
}

fn descriptor(text: &str) -> Result<Rule, ScheduleError> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(period) = text.strip_prefix("@every ") else {
                return Err(ScheduleError::Descriptor(text.to_owned()));
            };
            let nanos = go_duration::parse(period).ok_or_else(|| ScheduleError::Duration(text.to_owned()))?;
            // Whole seconds, one at least, also of what lies in the past.
            let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(0).max(1);
            return Ok(Rule::Every(Duration::from_secs(seconds)));
        }
    };
    Schedule::parse(fields).map(|schedule| schedule.0)
}

fn field(text: &str, bounds: &Bounds) -> Result<Field, ScheduleError> {
    let mut all = Field { bits: 0, open: false };
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let one = range(part, bounds)?;
        all = Field { bits: all.bits | one.bits, open: all.open || one.open };
    }
    Ok(all)
}

/// `*`, `5`, `1-5`, each with or without `/step`.
fn range(text: &str, bounds: &Bounds) -> Result<Field, ScheduleError> {
    let (span, step) = match text.split('/').collect::<Vec<_>>()[..] {
        [span] => (span, None),
        [span, step] => (span, Some(number(step)?)),
        _ => return Err(ScheduleError::Slashes(text.to_owned())),
    };
    let open = matches!(span, "*" | "?");
    let (start, end) = match span.split('-').collect::<Vec<_>>()[..] {
        _ if open => (bounds.least, bounds.most),
        // A step without an end counts on to the last value.
        [start] => (value(start, bounds)?, step.map_or(value(start, bounds)?, |_| bounds.most)),
        [start, end] => (value(start, bounds)?, value(end, bounds)?),
        _ => return Err(ScheduleError::Hyphens(text.to_owned())),
    };
    let text = text.to_owned();
    if start < bounds.least {
        return Err(ScheduleError::BelowMinimum { start, least: bounds.least, text });
    }
    if end > bounds.most {
        return Err(ScheduleError::AboveMaximum { end, most: bounds.most, text });
    }
    if start > end {
        return Err(ScheduleError::Backwards { start, end, text });
    }
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(ScheduleError::Step(text));
    }
    let bits = (start..=end).step_by(step as usize).fold(0, |bits, value| bits | 1 << value);
    Ok(Field { bits, open: open && step == 1 })
}

fn value(text: &str, bounds: &Bounds) -> Result<u32, ScheduleError> {
    let named = bounds.names.iter().zip(bounds.least..).find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map_or_else(|| number(text), |(_, value)| Ok(value))
}

fn number(text: &str) -> Result<u32, ScheduleError> {
    text.parse().map_err(|_| ScheduleError::Number(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `times`: the ones that follow `after`, as a clock in `zone` shows them with its offset.
    #[track_caller]
    fn follow(schedule: &str, zone: &str, after: &str, times: &[&str]) {
        let schedule = Schedule::parse(schedule).expect("a schedule");
        let zone = TimeZone::posix(zone).expect("a zone");
        let mut now: Timestamp = after.parse().expect("a time");
        for expected in times {
            now = schedule.next(now, &zone).expect("a next time");
            let shown = now.to_zoned(zone.clone()).strftime("%a %m-%d %H:%M%:z").to_string();
            assert_eq!(shown, *expected);
        }
    }

    #[track_caller]
    fn refuse(schedule: &str, message: &str) {
        assert_eq!(Schedule::parse(schedule).expect_err(schedule).to_string(), message);
    }

    #[test]
    fn steps_lists_ranges_and_names_are_understood() {
        let after = "2026-01-01T00:07:30Z";
        follow("*/15 * * * *", "UTC0", after, &["Thu 01-01 00:15+00:00", "Thu 01-01 00:30+00:00"]);
        follow("5/20 9-10 * * *", "UTC0", after, &["Thu 01-01 09:05+00:00", "Thu 01-01 09:25+00:00"]);
        follow("0 12 * feb MON-tue", "UTC0", after, &["Mon 02-02 12:00+00:00", "Tue 02-03 12:00+00:00"]);
        follow("@monthly", "UTC0", after, &["Sun 02-01 00:00+00:00", "Sun 03-01 00:00+00:00"]);
        follow("@every 1h30m", "UTC0", after, &["Thu 01-01 01:37+00:00", "Thu 01-01 03:07+00:00"]);
    }

    #[test]
    fn two_restricted_days_match_either_an_open_one_does_not_count() {
        let after = "2026-01-01T00:00:00Z";
        follow(
            "0 0 13 * 5",
            "UTC0",
            after,
            &["Fri 01-02 00:00+00:00", "Fri 01-09 00:00+00:00", "Tue 01-13 00:00+00:00"],
        );
        follow("0 0 13 * ?", "UTC0", after, &["Tue 01-13 00:00+00:00", "Fri 02-13 00:00+00:00"]);
    }

    #[test]
    fn a_time_the_clocks_skip_is_skipped_and_a_repeated_one_comes_twice() {
        let zone = "EST5EDT,M3.2.0,M11.1.0";
        follow("30 2 * * *", zone, "2026-03-07T12:00:00Z", &["Mon 03-09 02:30-04:00"]);
        follow(
            "30 1 * * *",
            zone,
            "2026-10-31T12:00:00Z",
            &["Sun 11-01 01:30-04:00", "Sun 11-01 01:30-05:00"],
        );
        follow(
            "*/30 1-2 * * *",
            zone,
            "2026-11-01T05:00:00Z",
            &[
                "Sun 11-01 01:30-04:00",
                "Sun 11-01 01:00-05:00",
                "Sun 11-01 01:30-05:00",
                "Sun 11-01 02:00-05:00",
            ],
        );
    }

    #[test]
    fn a_day_that_never_comes_has_no_next_time() {
        let schedule = Schedule::parse("0 0 30 2 *").expect("a schedule");
        assert_eq!(schedule.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        refuse("", "empty spec string");
        refuse("* * *", "expected exactly 5 fields, found 3: [* * *]");
        refuse("@often", "unrecognized descriptor: @often");
        refuse("@every soon", "failed to parse duration @every soon");
        refuse("60 * * * *", "end of range (60) above maximum (59): 60");
        refuse("* * 0 * *", "beginning of range (0) below minimum (1): 0");
        refuse("* * * * 7", "end of range (7) above maximum (6): 7");
        refuse("9-5 * * * *", "beginning of range (9) beyond end of range (5): 9-5");
        refuse("*/0 * * * *", "step of range should be a positive number: */0");
        refuse("1/2/3 * * * *", "too many slashes: 1/2/3");
        refuse("1-2-3 * * * *", "too many hyphens: 1-2-3");
        refuse("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
    }
}
