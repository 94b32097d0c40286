//! Dates for templates that tell the model what day it is. Always UTC.

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const MONTHS: [&str; 12] = [
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

struct Date {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    second: i64,
}

/// Writes the time `unix_seconds` as `format` says, in Python's letters. Unknown ones stay.
pub(crate) fn strftime(format: &str, unix_seconds: i64) -> String {
    let date = Date::of(unix_seconds);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (_, true) => out.push_str(&directive(&date, &mut chars)),
            (c, false) => out.push(c),
        }
    }
    out
}

fn directive(date: &Date, rest: &mut std::str::Chars<'_>) -> String {
    let mut letter = rest.next();
    let padded = letter != Some('-');
    if !padded {
        letter = rest.next();
    }
    let two = |number: i64| match padded {
        true => format!("{number:02}"),
        false => number.to_string(),
    };
    let hour = date.second / 3600;
    let twelve = (hour + 11) % 12 + 1;
    let month = MONTHS[date.month];
    let weekday = DAYS[date.weekday];
    match letter {
        Some('Y') => date.year.to_string(),
        Some('y') => two(date.year.rem_euclid(100)),
        Some('m') => two(date.month as i64 + 1),
        Some('d') => two(date.day),
        Some('e') => format!("{:2}", date.day),
        Some('B') => month.to_owned(),
        Some('b' | 'h') => month[..3].to_owned(),
        Some('A') => weekday.to_owned(),
        Some('a') => weekday[..3].to_owned(),
        Some('H') => two(hour),
        Some('I') => two(twelve),
        Some('M') => two(date.second / 60 % 60),
        Some('S') => two(date.second % 60),
        Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        Some('F') => format!("{}-{:02}-{:02}", date.year, date.month + 1, date.day),
        Some('T') => format!(
            "{hour:02}:{:02}:{:02}",
            date.second / 60 % 60,
            date.second % 60
        ),
        Some('Z') => "UTC".to_owned(),
        Some('z') => "+0000".to_owned(),
        Some('%') | None => "%".to_owned(),
        Some(other) => format!("%{other}"),
    }
}

impl Date {
    /// Howard Hinnant's `civil_from_days`, with years that start in March.
    fn of(unix_seconds: i64) -> Self {
        // Years of up to twelve digits: beyond that there is no calendar to speak of.
        let seconds = unix_seconds.clamp(-(1 << 55), 1 << 55);
        let days = seconds.div_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = usize::try_from((month_from_march + 2) % 12).unwrap_or_default();
        Self {
            year: year_of_era + era * 400 + i64::from(month < 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            weekday: usize::try_from((days + 3).rem_euclid(7)).unwrap_or_default(),
            second: seconds.rem_euclid(86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unix_seconds: i64, format: &str, expected: &str) {
        assert_eq!(strftime(format, unix_seconds), expected);
    }

    #[test]
    fn known_moments() {
        check(0, "%Y-%m-%d %H:%M:%S %A", "1970-01-01 00:00:00 Thursday");
        check(951_827_696, "%d %b %Y, %a", "29 Feb 2000, Tue");
        check(1_709_251_199, "%F %T", "2024-02-29 23:59:59");
        check(
            1_735_689_600,
            "%B %-d, %Y at %I %p",
            "January 1, 2025 at 12 AM",
        );
        check(-1, "%F", "1969-12-31");
        check(4_102_444_799, "%e|%y|%-m", "31|99|12");
    }

    #[test]
    fn what_is_unknown_stays() {
        check(0, "100%% %Q %", "100% %Q %");
    }

    proptest::proptest! {
        #[test]
        fn no_moment_breaks_it(seconds: i64, format in "(%.|.){0,8}") {
            strftime(&format, seconds);
        }
    }
}
