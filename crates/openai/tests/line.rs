//! The line before the model: order, ageing, limits; and whatever comes in whatever order.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

use gaia_openai::ServiceTier::{self, Default as Usual, Flex, Priority};
use gaia_openai::line::{Arrival, Line, PASSED_MAX, Ticket};
use proptest::prelude::*;

#[track_caller]
fn waits(line: &mut Line, tier: ServiceTier) -> Ticket {
    match line.arrive(tier, 1) {
        Arrival::Waits {
            ticket,
            displaced: None,
        } => ticket,
        other => panic!("{other:?}"),
    }
}

/// Ends what runs, one at a time, and gives who came in.
fn called(line: &mut Line) -> Vec<Ticket> {
    let mut called = Vec::new();
    while line.taken() > 0 {
        line.free(1);
        called.extend(line.call().map(|(ticket, _)| ticket));
    }
    called
}

fn busy(waiting_max: usize) -> Line {
    let mut line = Line::new(1, waiting_max);
    assert_eq!(line.arrive(Usual, 1), Arrival::Runs);
    line
}

#[test]
fn the_urgent_go_first_and_within_a_tier_who_came_first() {
    let mut line = busy(6);
    let tickets = [Flex, Usual, Priority, Flex, Usual, Priority].map(|tier| waits(&mut line, tier));
    let order = [2, 5, 1, 4, 0, 3].map(|index| tickets[index]);
    assert_eq!(called(&mut line), order);
}

#[test]
fn who_was_passed_often_enough_goes_before_all() {
    let mut line = busy(3);
    let flex = waits(&mut line, Flex);
    for _ in 0..PASSED_MAX {
        let urgent = waits(&mut line, Priority);
        line.free(1);
        assert_eq!(line.call(), Some((urgent, 1)));
    }
    waits(&mut line, Priority);
    waits(&mut line, Priority);
    assert_eq!(
        line.arrive(Priority, 1),
        Arrival::Full,
        "one who waited so long is not sent away"
    );
    line.free(1);
    assert_eq!(line.call(), Some((flex, 1)));
}

#[test]
fn in_a_full_line_the_youngest_of_the_least_urgent_goes() {
    let mut line = busy(3);
    let [_, second, usual] = [Flex, Flex, Usual].map(|tier| waits(&mut line, tier));
    assert_eq!(line.arrive(Flex, 1), Arrival::Full);
    let displaces = |line: &mut Line, expected| match line.arrive(Priority, 1) {
        Arrival::Waits { displaced, .. } => assert_eq!(displaced, Some(expected)),
        other => panic!("{other:?}"),
    };
    displaces(&mut line, second);
    assert_eq!(line.arrive(Flex, 1), Arrival::Full);
    assert!(matches!(
        line.arrive(Usual, 1),
        Arrival::Waits {
            displaced: Some(_),
            ..
        }
    ));
    assert_eq!(line.arrive(Usual, 1), Arrival::Full);
    line.leave(usual);
    waits(&mut line, Usual);
}

#[test]
fn who_needs_many_places_is_not_passed_by_his_like() {
    let mut line = Line::new(3, 4);
    assert_eq!(line.arrive(Usual, 2), Arrival::Runs);
    let Arrival::Waits { ticket, .. } = line.arrive(Usual, 99) else {
        panic!("there is one place");
    };
    waits(&mut line, Usual);
    assert_eq!(line.call(), None);
    line.free(2);
    assert_eq!(line.call(), Some((ticket, 3)));
    line.free(99);
    assert_eq!(line.taken(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Arrive(ServiceTier, usize),
    Leave(prop::sample::Index),
    End(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let tier = prop::sample::select(vec![Flex, Usual, Priority, Priority]);
    prop_oneof![
        5 => (tier, 1..4_usize).prop_map(|(tier, places)| Step::Arrive(tier, places)),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => any::<prop::sample::Index>().prop_map(Step::End),
    ]
}

/// What a watcher of the line knows.
#[derive(Default)]
struct Watcher {
    /// Who waits, in the order of arrival: ticket, tier, by how many passed.
    waiting: Vec<(Ticket, ServiceTier, u32)>,
    running: Vec<usize>,
}

impl Watcher {
    fn ran(&mut self, index: usize, places: usize) {
        let (_, tier, ..) = self.waiting.remove(index);
        self.running.push(places);
        for earlier in &mut self.waiting[..index] {
            assert_ne!(earlier.1, tier, "passed by its like");
            earlier.2 += 1;
            assert!(earlier.2 <= PASSED_MAX, "passed too often");
        }
    }

    fn settle(&mut self, line: &mut Line) {
        while let Some((ticket, places)) = line.call() {
            let index = self.waiting.iter().position(|one| one.0 == ticket);
            self.ran(index.unwrap(), places);
        }
    }

    fn arrive(&mut self, line: &mut Line, tier: ServiceTier, places: usize) {
        match line.arrive(tier, places) {
            Arrival::Runs => {
                self.running.push(places);
                for earlier in &mut self.waiting {
                    assert!(earlier.1 < tier, "passed by its like");
                    earlier.2 += 1;
                    assert!(earlier.2 <= PASSED_MAX, "passed too often");
                }
            }
            Arrival::Waits { ticket, displaced } => {
                if let Some(gone) = displaced {
                    let index = self.waiting.iter().position(|one| one.0 == gone).unwrap();
                    assert!(self.waiting.remove(index).1 < tier);
                }
                self.waiting.push((ticket, tier, 0));
            }
            Arrival::Full => {}
        }
    }
}

proptest! {
    #[test]
    fn limits_order_and_ageing_hold(
        places in 3..6_usize,
        waiting_max in 0..12_usize,
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut line = Line::new(places, waiting_max);
        let mut watcher = Watcher::default();
        for step in steps {
            match step {
                Step::Arrive(tier, wanted) => watcher.arrive(&mut line, tier, wanted),
                Step::Leave(index) if !watcher.waiting.is_empty() => {
                    let one = watcher.waiting.remove(index.index(watcher.waiting.len()));
                    line.leave(one.0);
                }
                Step::End(index) if !watcher.running.is_empty() => {
                    let places = watcher.running.remove(index.index(watcher.running.len()));
                    line.free(places);
                }
                Step::Leave(_) | Step::End(_) => {}
            }
            watcher.settle(&mut line);
            prop_assert_eq!(line.taken(), watcher.running.iter().sum::<usize>());
            prop_assert!(line.taken() <= places);
            prop_assert_eq!(line.waiting(), watcher.waiting.len());
            prop_assert!(line.waiting() <= waiting_max);
            prop_assert!(line.taken() > 0 || line.waiting() == 0, "nobody waits for nothing");
        }
    }
}
