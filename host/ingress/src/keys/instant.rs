//! Moments of the calendar, and how they are written: `2026-12-31T00:00:00Z`.
//!
//! Pure: nobody here reads a clock.

use std::fmt;
use std::str::FromStr;

/// Seconds of a day.
pub(crate) const DAY_SECONDS: u64 = 86_400;

/// The last moment there is: the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

/// A moment in UTC, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

/// Why a text is no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date such as 2026-12-31 or 2026-12-31T23:59:59Z")]
pub struct ParseInstantError(String);

impl Instant {
    /// So many seconds after 1970 began; never after the year 9999.
    pub fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.min(SECONDS_MAX))
    }

    /// Seconds since 1970 began.
    pub fn unix_seconds(self) -> u64 {
        self.0
    }

    /// So much later.
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self::from_unix_seconds(self.0.saturating_add(seconds))
    }

    /// The day, counted from 1970.
    pub fn day(self) -> u64 {
        self.0 / DAY_SECONDS
    }

    /// Seconds to the next midnight.
    pub(crate) fn seconds_left_today(self) -> u64 {
        DAY_SECONDS - self.0 % DAY_SECONDS
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.day());
        let second = self.0 % DAY_SECONDS;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl FromStr for Instant {
    type Err = ParseInstantError;

    /// A date alone means its beginning.
    fn from_str(text: &str) -> Result<Self, ParseInstantError> {
        parse(text).ok_or_else(|| ParseInstantError(text.chars().take(64).collect()))
    }
}

fn parse(text: &str) -> Option<Instant> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let in_day = hour < 24 && minute < 60 && second < 60;
    let days = in_day.then(|| day_of(year, month, day)).flatten()?;
    Some(Instant(
        days * DAY_SECONDS + hour * 3600 + minute * 60 + second,
    ))
}

fn numbers(text: &str, between: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(between);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        let digits = part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = digits.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970 to a date; none if there is no such date from then on.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    // Years that begin in March end with the day that is not always there (Howard Hinnant's days_from_civil).
    let shifted = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    // The 31st of April is the 1st of May: no such date.
    (date_of(days) == (year, month, day)).then_some(days)
}

/// The date so many days after 1970 began.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        let check = |text: &str, seconds, shown: &str| {
            let moment: Instant = text.parse().unwrap();
            assert_eq!(moment.unix_seconds(), seconds, "{text}");
            assert_eq!(moment.to_string(), shown);
        };
        check("1970-01-01", 0, "1970-01-01T00:00:00Z");
        check("2000-02-29", 951_782_400, "2000-02-29T00:00:00Z");
        check(
            "2026-11-21T17:05:09Z",
            1_795_280_709,
            "2026-11-21T17:05:09Z",
        );
        check("9999-12-31T23:59:59Z", SECONDS_MAX, "9999-12-31T23:59:59Z");
    }

    #[test]
    fn every_day_is_its_date() {
        let mut last = (1969, 12, 31);
        for day in 0..=SECONDS_MAX / DAY_SECONDS {
            let date = date_of(day);
            assert!(date > last, "{date:?} after {last:?}");
            assert_eq!(day_of(date.0, date.1, date.2), Some(day));
            last = date;
        }
        assert_eq!(last, (9999, 12, 31));
    }

    #[test]
    fn what_is_no_date_is_said_so() {
        for text in [
            "",
            "tomorrow",
            "2026-13-01",
            "2026-02-29",
            "2026-00-01",
            "2026-01-00",
            "1969-12-31",
            "2026-1-1",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01-01",
            "+026-01-01",
            "2026-01-01T00:60:00Z",
        ] {
            assert!(text.parse::<Instant>().is_err(), "{text}");
        }
    }

    #[test]
    fn days_end_at_midnight() {
        let moment: Instant = "2026-01-01T23:59:58Z".parse().unwrap();
        assert_eq!(moment.seconds_left_today(), 2);
        assert_eq!(moment.plus_seconds(2).seconds_left_today(), DAY_SECONDS);
        assert_eq!(moment.plus_seconds(2).day(), moment.day() + 1);
        assert_eq!(moment.plus_seconds(u64::MAX).unix_seconds(), SECONDS_MAX);
    }
}
