//! Go's `time.Time`: an instant and the zone it is shown in.

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// An instant as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub at: Timestamp,
    pub zone: Zone,
}

/// The zone of a [`Moment`]; the local one is UTC, as in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    Utc,
    /// Seconds east of UTC, without a name.
    Offset(i32),
    /// UTC under the name that tells which parts of a TOML date were written.
    Named(&'static str),
}

/// Two moments are equal when they are the same instant.
impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Moment { at, zone: Zone::Utc }
    }
}

impl Moment {
    /// Go's zero time.
    pub fn zero() -> Self {
        "0001-01-01T00:00:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH).into()
    }

    pub fn zoned(&self) -> Zoned {
        let zone = match self.zone {
            Zone::Offset(seconds) => Offset::from_seconds(seconds).map_or(TimeZone::UTC, TimeZone::fixed),
            Zone::Utc | Zone::Named(_) => TimeZone::UTC,
        };
        self.at.to_zoned(zone)
    }

    /// What `MST` stands for in a layout.
    pub fn zone_name(&self) -> String {
        match self.zone {
            Zone::Utc => "UTC".into(),
            Zone::Named(name) => name.into(),
            Zone::Offset(seconds) => {
                let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
                format!("{sign}{:02}{:02}", seconds / 3600, seconds / 60 % 60)
            }
        }
    }

    /// The same zone at another instant.
    pub fn with(&self, at: Timestamp) -> Self {
        Moment { at, zone: self.zone }
    }
}
