//! The one place that reads a clock. Everything else is handed `now`.
//!
//! A [`Clock`] can run faster than the wall: the demo plays an hour a minute, so that the real
//! policy with its real durations tells its story while somebody watches.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::failpoint;

/// A moment, in whole milliseconds since 1970-01-01 UTC. Written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment `seconds` whole seconds after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * 1000)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch; 0 before it, `u32::MAX` after 2106.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0.div_euclid(1000).clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX)
    }

    /// Whole minutes since the epoch: the unit of a cohort.
    pub fn minute(self) -> u32 {
        self.seconds() / 60
    }

    /// This moment, `span` later.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment, `span` earlier.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was, zero when it is not in the past.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = rfc3339(self.0) {
            return f.write_str(std::str::from_utf8(&text).unwrap_or_default());
        }
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => f.write_str("invalid time"),
        }
    }
}

/// `2026-11-23T10:00:00.412Z`, for the years 1970 to 9999. Every event is written with two or three
/// times, of which the general formatter asks more than these need.
fn rfc3339(millis: i64) -> Option<[u8; 24]> {
    let millis = u64::try_from(millis).ok()?;
    let (days, of_day) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    for (end, digits, mut value) in [
        (4, 4, year),
        (7, 2, month),
        (10, 2, day),
        (13, 2, of_day / 3_600_000),
        (16, 2, of_day / 60_000 % 60),
        (19, 2, of_day / 1000 % 60),
        (23, 3, of_day % 1000),
    ] {
        for digit in text[end - digits..end].iter_mut().rev() {
            *digit += u8::try_from(value % 10).ok()?;
            value /= 10;
        }
        // What is left over did not fit: the year 10,000 or later.
        if value > 0 {
            return None;
        }
    }
    Some(text)
}

/// The date that is `days` after 1970-01-01, by Howard Hinnant's `civil_from_days`: years begin in
/// March, so that a leap day is the last of its year, and 400 of them have 146,097 days.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.parse::<jiff::Timestamp>()?.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match rfc3339(self.0) {
            Some(text) => serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default()),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

/// Tells the time, possibly faster than the wall does. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
    speed: u32,
    /// What it shows, where somebody drives it by hand.
    driven: Option<&'static AtomicI64>,
}

impl Clock {
    /// The time on the wall.
    pub fn wall() -> Self {
        Self::fast(wall_now(), 1)
    }

    /// A clock that shows `origin` now and runs `speed` times as fast as the wall.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn fast(origin: Timestamp, speed: u32) -> Self {
        Self { origin, started: Instant::now(), speed, driven: None }
    }

    /// A clock that shows whatever milliseconds since 1970 it is set to, back and forward: what a
    /// machine's clock may do. Waits are as long as on the wall's.
    pub fn driven(shown: &'static AtomicI64) -> Self {
        Self { driven: Some(shown), ..Self::wall() }
    }

    /// The moment this clock shows.
    pub fn now(&self) -> Timestamp {
        if let Some(shown) = self.driven {
            return Timestamp(shown.load(Relaxed));
        }
        if self.speed == 1 {
            return wall_now();
        }
        self.origin.plus(self.started.elapsed().saturating_mul(self.speed))
    }

    /// How long to really wait for `span` to pass on this clock.
    pub fn real(&self, span: Duration) -> Duration {
        span / self.speed.max(1)
    }

    /// A monotone reading for measuring how long work takes; never sped up.
    pub fn ticks(&self) -> Duration {
        self.started.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    Timestamp(millis.saturating_add(failpoint::clock_offset()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_written_as_jiff_writes_them(
            millis in prop_oneof![-62_000_000_000_000_i64..253_402_207_200_000, 0..2_000_000_000_000_i64],
        ) {
            let jiff = jiff::Timestamp::from_millisecond(millis).unwrap();
            prop_assert_eq!(Timestamp::from_millis(millis).to_string(), format!("{jiff:.3}"));
        }
    }

    #[test]
    fn the_turns_of_centuries_are_written_as_jiff_writes_them() {
        for day in (0..2_932_000).step_by(7).chain(0..60_000).chain(2_932_880..2_932_896) {
            let millis = day * 86_400_000 - 1;
            let jiff = jiff::Timestamp::from_millisecond(millis).unwrap();
            assert_eq!(Timestamp::from_millis(millis).to_string(), format!("{jiff:.3}"));
        }
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "invalid time");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "invalid time");
    }

    #[test]
    fn a_timestamp_reads_what_it_writes() {
        let at = Timestamp::from_millis(1_764_000_000_412);
        assert_eq!(at.to_string(), "2025-11-24T16:00:00.412Z");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        assert_eq!(
            "2019-11-09T16:00:00.000+01:00".parse::<Timestamp>().unwrap().to_string(),
            "2019-11-09T15:00:00.000Z"
        );
    }

    #[test]
    fn times_before_the_epoch_do_not_wrap() {
        assert_eq!(Timestamp::from_millis(-5).seconds(), 0);
        assert_eq!(Timestamp::from_seconds(10).since(Timestamp::from_seconds(20)), Duration::ZERO);
    }
}
