//! The one place that asks the machine for the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970. A clock before 1970 reads as 0, which makes every token look expired: the safe side.
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// Milliseconds since 1970, the unit of every time stamp in the database.
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
}
