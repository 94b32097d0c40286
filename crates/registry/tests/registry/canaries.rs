//! Canaries: when they come, and what their answers are worth.

use gaia_registry::canary::{CANARIES_MAX, Expectation, Interval, Reply, choose};
use gaia_registry::{Canary, CanaryVerdict};
use proptest::prelude::*;

fn canary(expected: Expectation) -> Canary {
    Canary {
        id: "capital".to_owned(),
        prompt: "What is the capital of France?".to_owned(),
        expected,
        duration_ms_max: 1_000,
    }
}

fn check(expected: &Expectation, text: &str, duration_ms: u64, verdict: CanaryVerdict) {
    let found = canary(expected.clone()).judge(&Reply::Text { text, duration_ms });
    assert_eq!(found, verdict, "{text:?} after {duration_ms} ms");
}

#[test]
fn an_answer_is_right_wrong_late_or_none() {
    use CanaryVerdict::{Failed, Passed, TooSlow, WrongAnswer};
    let exactly = Expectation::Exactly("Paris.".to_owned());
    check(&exactly, "Paris.", 1_000, Passed);
    check(&exactly, " Paris.\n", 0, Passed);
    check(&exactly, "Paris", 0, WrongAnswer);
    check(&exactly, "Paris.", 1_001, TooSlow);
    let contains = Expectation::Contains(vec!["paris".to_owned(), "Lutetia".to_owned()]);
    check(&contains, "It is PARIS.", 0, Passed);
    check(&contains, "lutetia", 0, Passed);
    check(&contains, "London", 0, WrongAnswer);
    check(&contains, "", 0, WrongAnswer);
    check(
        &Expectation::Contains(vec![String::new()]),
        "x",
        0,
        WrongAnswer,
    );
    assert_eq!(canary(exactly).judge(&Reply::Error), Failed);
}

#[test]
fn chance_reaches_every_canary_and_both_ends_of_the_interval() {
    let some: Vec<Canary> = (0..3)
        .map(|number| Canary {
            id: number.to_string(),
            ..canary(Expectation::Exactly(String::new()))
        })
        .collect();
    let chosen = |chance| choose(&some, chance).map(|canary| canary.id.as_str());
    assert_eq!(chosen(0), Some("0"));
    assert_eq!(chosen(u64::MAX / 2), Some("1"));
    assert_eq!(chosen(u64::MAX), Some("2"));
    assert_eq!(choose(&[], 5), None);
    let many = vec![some[0].clone(); CANARIES_MAX + 1];
    let last = choose(&many, u64::MAX).unwrap();
    assert!(std::ptr::eq(last, &many[CANARIES_MAX - 1]));
    let interval = Interval {
        seconds_min: 10,
        seconds_max: 20,
    };
    assert_eq!((interval.next(5, 0), interval.next(5, u64::MAX)), (15, 25));
}

proptest! {
    #[test]
    fn a_canary_never_comes_too_early_or_too_late(
        now in 0_u64..1 << 40, seconds_min in 0_u64..10_000, span in 0_u64..10_000, chance in any::<u64>(),
    ) {
        let interval = Interval { seconds_min, seconds_max: seconds_min + span };
        let next = interval.next(now, chance);
        prop_assert!((now + seconds_min..=now + seconds_min + span).contains(&next));
    }
}
