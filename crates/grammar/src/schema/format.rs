//! Formats of strings.
//!
//! What is written is what no validator disputes: years of four digits, no leap seconds, host names with a
//! dot, addresses without quotes.

use crate::{Class, Expression};

/// The formats there are.
pub(super) const NAMES: [&str; 9] = [
    "date",
    "time",
    "date-time",
    "uuid",
    "email",
    "ipv4",
    "ipv6",
    "hostname",
    "uri",
];

/// What stands between the quotes; `None` for a format there is not.
pub(super) fn write(name: &str) -> Option<Expression> {
    Some(match name {
        "date" => date(),
        "time" => time(),
        "date-time" => sequence([date(), literal("T"), time()]),
        "uuid" => uuid(),
        "email" => sequence([local_part(), literal("@"), hostname()]),
        "ipv4" => ipv4(),
        "ipv6" => ipv6(),
        "hostname" => hostname(),
        "uri" => uri(),
        _ => return None,
    })
}

use Expression as E;

fn literal(text: &str) -> E {
    E::literal(text)
}

fn sequence(parts: impl IntoIterator<Item = E>) -> E {
    E::sequence(parts)
}

fn choice(ways: impl IntoIterator<Item = E>) -> E {
    E::choice(ways)
}

fn digit() -> E {
    E::range('0', '9')
}

fn times(of: E, count: u32) -> E {
    E::repeat(of, count, Some(count))
}

/// Two digits, the first of them `first`.
fn two(first: &str, low: char, high: char) -> E {
    sequence([E::one_of(first), E::range(low, high)])
}

fn date() -> E {
    let month_31 = choice([
        two("0", '1', '1'),
        sequence([literal("0"), E::one_of("3578")]),
        literal("10"),
        literal("12"),
    ]);
    let month_30 = choice([sequence([literal("0"), E::one_of("469")]), literal("11")]);
    let day_28 = choice([two("0", '1', '9'), two("1", '0', '9'), two("2", '0', '8')]);
    let day_30 = choice([day_28.clone(), literal("29"), literal("30")]);
    let day_31 = choice([day_30.clone(), literal("31")]);
    let year = times(digit(), 4);
    let day = choice([
        sequence([month_31, literal("-"), day_31]),
        sequence([month_30, literal("-"), day_30]),
        sequence([literal("02-"), day_28]),
    ]);
    choice([
        sequence([year, literal("-"), day]),
        sequence([leap_year(), literal("-02-29")]),
    ])
}

fn leap_year() -> E {
    let fourth = choice([
        sequence([literal("0"), E::one_of("48")]),
        sequence([E::one_of("2468"), E::one_of("048")]),
        sequence([E::one_of("13579"), E::one_of("26")]),
    ]);
    choice([
        sequence([times(digit(), 2), fourth.clone()]),
        sequence([fourth, literal("00")]),
    ])
}

fn time() -> E {
    let hour = choice([two("01", '0', '9'), two("2", '0', '3')]);
    let sixty = || two("012345", '0', '9');
    let fraction = sequence([literal("."), E::repeat(digit(), 1, Some(9))]);
    let offset = sequence([E::one_of("+-"), hour.clone(), literal(":"), sixty()]);
    sequence([
        hour,
        literal(":"),
        sixty(),
        literal(":"),
        sixty(),
        E::optional(fraction),
        choice([literal("Z"), offset]),
    ])
}

fn hex() -> E {
    E::Class(Class::ranges([('0', '9'), ('a', 'f')]))
}

fn uuid() -> E {
    let group = |count| times(hex(), count);
    let dash = || literal("-");
    sequence([
        group(8),
        dash(),
        group(4),
        dash(),
        group(4),
        dash(),
        group(4),
        dash(),
        group(12),
    ])
}

fn letters_and_digits() -> Class {
    Class::ranges([('a', 'z'), ('0', '9')])
}

/// Letters and digits with single dashes between them.
fn label() -> E {
    let word = || E::repeat(E::Class(letters_and_digits()), 1, Some(15));
    let more = sequence([literal("-"), word()]);
    sequence([word(), E::repeat(more, 0, Some(2))])
}

fn hostname() -> E {
    let more = sequence([label(), literal(".")]);
    let top = E::repeat(E::range('a', 'z'), 2, Some(10));
    sequence([E::repeat(more, 1, Some(3)), top])
}

fn local_part() -> E {
    let allowed = letters_and_digits().union(&Class::ranges([('A', 'Z'), ('_', '_'), ('+', '+')]));
    let word = || E::repeat(E::Class(allowed.clone()), 1, Some(15));
    let more = sequence([E::one_of(".-"), word()]);
    sequence([word(), E::repeat(more, 0, Some(2))])
}

fn ipv4() -> E {
    let number = || {
        choice([
            digit(),
            sequence([E::range('1', '9'), digit()]),
            sequence([literal("1"), digit(), digit()]),
            sequence([literal("2"), E::range('0', '4'), digit()]),
            sequence([literal("25"), E::range('0', '5')]),
        ])
    };
    let more = sequence([literal("."), number()]);
    sequence([number(), times(more, 3)])
}

fn ipv6() -> E {
    let group = || E::repeat(hex(), 1, Some(4));
    let groups = |count: u32| {
        let more = sequence([literal(":"), group()]);
        sequence([group(), times(more, count - 1)])
    };
    let mut ways = vec![groups(8)];
    // `::` stands for two groups or more.
    for before in 0..=6 {
        let head = match before {
            0 => E::empty(),
            before => groups(before),
        };
        let more = sequence([literal(":"), group()]);
        let tail = match 6 - before {
            0 => E::empty(),
            after => E::optional(sequence([group(), E::repeat(more, 0, Some(after - 1))])),
        };
        ways.push(sequence([head, literal("::"), tail]));
    }
    choice(ways)
}

fn uri() -> E {
    let unreserved = letters_and_digits().union(&Class::ranges([('A', 'Z')]));
    let class = |more: &str| E::Class(unreserved.union(&Class::of(more)));
    let segment = E::many(class("-._~!$&'()*+,;=:@/"));
    let query = sequence([literal("?"), E::many(class("-._~!$&'()*+,;=:@/?"))]);
    let fragment = sequence([literal("#"), E::many(class("-._~!$&'()*+,;=:@/?"))]);
    sequence([
        literal("http"),
        E::optional(literal("s")),
        literal("://"),
        hostname(),
        E::optional(sequence([
            literal(":"),
            E::range('1', '9'),
            E::repeat(digit(), 0, Some(3)),
        ])),
        E::optional(sequence([literal("/"), segment])),
        E::optional(query),
        E::optional(fragment),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    #[track_caller]
    fn check(name: &str, good: &[&str], bad: &[&str]) {
        let grammar = Builder::new().finish(write(name).unwrap()).unwrap();
        for text in good {
            assert!(grammar.accepts(text), "{text}");
        }
        for text in bad {
            assert!(!grammar.accepts(text), "{text}");
        }
    }

    #[test]
    fn formats_are_what_they_say() {
        check(
            "date",
            &["2026-11-21", "2024-02-29", "2000-02-29", "1999-12-31"],
            &[
                "2026-02-29",
                "1900-02-29",
                "2026-04-31",
                "2026-13-01",
                "2026-00-01",
                "2026-01-00",
                "26-01-01",
            ],
        );
        check(
            "time",
            &["23:59:59Z", "00:00:00.123+01:30"],
            &["24:00:00Z", "12:60:00Z", "12:00:00", "12:00Z"],
        );
        check(
            "date-time",
            &["2026-11-21T17:00:00Z"],
            &["2026-11-21 17:00:00Z"],
        );
        check(
            "uuid",
            &["123e4567-e89b-12d3-a456-426614174000"],
            &[
                "123e4567-e89b-12d3-a456-42661417400",
                "g23e4567-e89b-12d3-a456-426614174000",
            ],
        );
        check(
            "email",
            &["ann.lee+x@mail.example.org"],
            &["ann@", "@example.org", "a..b@example.org"],
        );
        check(
            "ipv4",
            &["0.0.0.0", "255.255.255.255"],
            &["256.1.1.1", "1.2.3", "01.2.3.4"],
        );
        check(
            "ipv6",
            &[
                "::",
                "::1",
                "1::",
                "fe80::1:2",
                "1:2:3:4:5:6:7:8",
                "1:2:3:4:5:6::",
            ],
            &[
                "1:2:3",
                "1:2:3:4:5:6:7:8:9",
                "1::2::3",
                "12345::",
                "1:2:3:4:5:6:7::8",
            ],
        );
        check(
            "hostname",
            &["a-b.example.org"],
            &["-a.org", "a-.org", "a..org", "org"],
        );
        check(
            "uri",
            &["https://example.org", "http://a.example.org:80/x/y?q=1#top"],
            &["example.org", "https://", "https://example.org/a b"],
        );
        assert_eq!(write("iri"), None);
    }
}
