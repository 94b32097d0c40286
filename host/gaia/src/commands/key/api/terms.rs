//! How limits and ends of keys are written on the command line.

use std::str::FromStr;

use gaia_ingress::keys::Instant;

/// When a key ends, as somebody said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// So many seconds after it was said.
    After(u64),
    /// At a moment.
    At(Instant),
}

impl End {
    /// The moment, if it was said at `now`.
    pub fn from(self, now: Instant) -> Instant {
        match self {
            Self::After(seconds) => now.plus_seconds(seconds),
            Self::At(moment) => moment,
        }
    }
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [('h', 3600), ('d', 86_400), ('w', 604_800)];
        let span = units.into_iter().find_map(|(unit, seconds)| {
            let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
            count.checked_mul(seconds)
        });
        match span {
            Some(seconds) => Ok(Self::After(seconds)),
            None => text.parse().map(Self::At).map_err(|_| {
                format!("`{text}` is neither a span such as 30d, 12h or 4w nor a date such as 2026-12-31")
            }),
        }
    }
}

/// Reads `60/min` or `60`.
pub fn parse_rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/min").unwrap_or(text);
    number
        .parse()
        .map_err(|_| format!("`{text}` is not a number of requests a minute such as 60/min"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spans_or_dates() {
        let check = |text: &str, expected: Option<End>| {
            assert_eq!(text.parse::<End>().ok(), expected, "{text}");
        };
        check("30d", Some(End::After(2_592_000)));
        check("12h", Some(End::After(43_200)));
        check("1w", Some(End::After(604_800)));
        let date = "2026-12-31".parse().unwrap();
        check("2026-12-31", Some(End::At(date)));
        for nonsense in [
            "",
            "d",
            "-1d",
            "soon",
            "30",
            "99999999999999999999d",
            "9999999999999999w",
        ] {
            check(nonsense, None);
        }
        let now = Instant::from_unix_seconds(5);
        assert_eq!(End::After(10).from(now).unix_seconds(), 15);
        assert_eq!(End::At(date).from(now), date);
    }

    #[test]
    fn rates_are_a_minute() {
        assert_eq!(parse_rate("60/min"), Ok(60));
        assert_eq!(parse_rate("60"), Ok(60));
        assert!(parse_rate("60/s").is_err() && parse_rate("-1").is_err());
    }
}
