//! Numbers for people, short enough for a column. What is not known is a dash.

/// What stands where nothing is known.
pub const NONE: &str = "–";

/// A count: `950`, `12.3k`, `104k`, `4.5M`.
pub fn count(value: u64) -> String {
    match value {
        0..10_000 => value.to_string(),
        10_000..100_000 => format!("{:.1}k", value as f64 / 1e3),
        100_000..1_000_000 => format!("{}k", value / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1}M", value as f64 / 1e6),
        _ => format!("{:.1}B", value as f64 / 1e9),
    }
}

/// A count that may be unknown.
pub fn count_or_none(value: Option<u64>) -> String {
    value.map_or_else(|| NONE.to_owned(), count)
}

/// A time: `0.8 ms`, `42 ms`, `1.25 s`, `75 s`.
pub fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => NONE.to_owned(),
        Some(seconds) if seconds < 0.00995 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) if seconds < 9.995 => format!("{seconds:.2} s"),
        Some(seconds) => format!("{seconds:.0} s"),
    }
}

/// A speed a second: `0`, `3.4`, `152`.
pub fn speed(value: Option<f64>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value < 9.95 => format!("{value:.1}"),
        Some(value) => count(value.round() as u64),
    }
}

/// A share in percent.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || NONE.to_owned(),
        |share| format!("{:.0} %", share * 100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let check = |value, expected: &str| assert_eq!(count(value), expected);
        check(0, "0");
        check(9_999, "9999");
        check(12_345, "12.3k");
        check(104_999, "104k");
        check(134_515_008, "134.5M");
        check(8_000_000_000, "8.0B");
    }

    #[test]
    fn times() {
        let check = |seconds, expected: &str| assert_eq!(time(seconds), expected);
        check(None, "–");
        check(Some(0.0), "0.0 ms");
        check(Some(0.0083), "8.3 ms");
        check(Some(0.01), "10 ms");
        check(Some(0.9996), "1.00 s");
        check(Some(300.0), "300 s");
    }

    #[test]
    fn speeds_and_shares() {
        assert_eq!(speed(None), "–");
        assert_eq!(speed(Some(0.0)), "0");
        assert_eq!(speed(Some(3.44)), "3.4");
        assert_eq!(speed(Some(151.7)), "152");
        assert_eq!(percent(Some(0.637)), "64 %");
        assert_eq!(percent(None), "–");
    }
}
