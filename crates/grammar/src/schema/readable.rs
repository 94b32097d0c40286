//! How many ways a pattern can be read at once.
//!
//! The engine follows every way to read what was written so far, so `(a{0,9}){0,9}` costs it dozens of them a
//! character. Here all texts are followed at the same time, as sets of places in the pattern; a pattern is
//! refused where a set becomes too large, or there are too many to look at.

use std::collections::{BTreeSet, HashSet};

use regex_syntax::hir::{self, Hir, HirKind};

use crate::Class;

/// Places in a pattern, repetitions written out.
pub const PLACES_MAX: usize = 4096;

/// Places at which the reading of one text may be at once.
pub const PLACES_AT_ONCE_MAX: usize = 64;

/// Steps from one set of places to the next that are looked at, times the places in them.
const STEPS_MAX: usize = 256 << 10;

enum Place {
    /// One character of a class, and on.
    One(usize, usize),
    /// Any of these.
    Split(Vec<usize>),
    End,
}

/// A pattern as places that lead to one another.
pub(super) struct Places {
    places: Vec<Place>,
    classes: Vec<Class>,
}

pub(super) const END: usize = 0;

/// What has too many places to be looked at.
pub(super) struct TooMany;

impl Places {
    pub fn new() -> Self {
        Self {
            places: vec![Place::End],
            classes: Vec::new(),
        }
    }

    fn add(&mut self, place: Place) -> Result<usize, TooMany> {
        if self.places.len() >= PLACES_MAX {
            return Err(TooMany);
        }
        self.places.push(place);
        Ok(self.places.len() - 1)
    }

    /// Any of several places.
    pub fn split(&mut self, to: Vec<usize>) -> Result<usize, TooMany> {
        self.add(Place::Split(to))
    }

    /// Any characters before `next`.
    pub fn anything(&mut self, next: usize) -> Result<usize, TooMany> {
        let around = self.add(Place::Split(vec![next]))?;
        let any = self.one(Class::any(), around)?;
        self.places[around] = Place::Split(vec![any, next]);
        Ok(around)
    }

    fn one(&mut self, class: Class, next: usize) -> Result<usize, TooMany> {
        let known = self.classes.iter().position(|known| *known == class);
        let index = known.unwrap_or_else(|| {
            self.classes.push(class);
            self.classes.len() - 1
        });
        self.add(Place::One(index, next))
    }

    /// What matches `hir` before `next`: where it begins.
    pub fn before(&mut self, hir: &Hir, next: usize) -> Result<usize, TooMany> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Ok(next),
            HirKind::Literal(literal) => {
                let text = String::from_utf8_lossy(&literal.0);
                let mut characters = text.chars().rev();
                characters.try_fold(next, |next, c| self.one(Class::ranges([(c, c)]), next))
            }
            HirKind::Class(class) => self.one(class_of(class), next),
            HirKind::Capture(group) => self.before(&group.sub, next),
            HirKind::Concat(parts) => {
                let mut parts = parts.iter().rev();
                parts.try_fold(next, |next, part| self.before(part, next))
            }
            HirKind::Alternation(ways) => {
                let ways = ways.iter().map(|way| self.before(way, next));
                let ways = ways.collect::<Result<_, _>>()?;
                self.split(ways)
            }
            HirKind::Repetition(repetition) => self.repeated(repetition, next),
        }
    }

    fn repeated(&mut self, repetition: &hir::Repetition, next: usize) -> Result<usize, TooMany> {
        let of = &repetition.sub;
        let mut start = match repetition.max {
            None => {
                let again = self.split(vec![next])?;
                let body = self.before(of, again)?;
                self.places[again] = Place::Split(vec![body, next]);
                again
            }
            Some(max) => {
                let mut start = next;
                for _ in repetition.min..max {
                    let body = self.before(of, start)?;
                    start = self.split(vec![body, next])?;
                }
                start
            }
        };
        for _ in 0..repetition.min {
            start = self.before(of, start)?;
        }
        Ok(start)
    }

    /// Whether no text has too many readings, as far as one looks.
    pub fn are_readable(&self, start: usize) -> bool {
        let kinds = self.kinds();
        let first = self.closure([start]);
        let mut seen = HashSet::from([first.clone()]);
        let mut next = vec![first];
        let mut left = STEPS_MAX;
        while let Some(places) = next.pop() {
            for members in &kinds {
                let Some(rest) = left.checked_sub(places.len() + 1) else {
                    return false;
                };
                left = rest;
                let led = places.iter().filter_map(|place| match self.places[*place] {
                    Place::One(class, next) if members[class] => Some(next),
                    _ => None,
                });
                let reached = self.closure(led);
                if reached.len() > PLACES_AT_ONCE_MAX {
                    return false;
                }
                if !reached.is_empty() && seen.insert(reached.clone()) {
                    next.push(reached);
                }
            }
        }
        true
    }

    /// The places for a character that these lead to without one.
    fn closure(&self, from: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut next: Vec<usize> = from.into_iter().collect();
        while let Some(place) = next.pop() {
            if !seen.insert(place) {
                continue;
            }
            match &self.places[place] {
                Place::One(..) | Place::End => {
                    found.insert(place);
                }
                Place::Split(to) => next.extend(to),
            }
        }
        found.into_iter().collect()
    }

    /// Characters that are in the same classes are alike: for each kind, the classes that it is in.
    fn kinds(&self) -> Vec<Vec<bool>> {
        let edges: BTreeSet<char> = self
            .classes
            .iter()
            .flat_map(|class| {
                class
                    .iter()
                    .chain(class.complement().iter())
                    .collect::<Vec<_>>()
            })
            .map(|(low, _)| low)
            .collect();
        let members = |c: char| self.classes.iter().map(|class| class.contains(c)).collect();
        let kinds: BTreeSet<Vec<bool>> = edges.into_iter().map(members).collect();
        kinds
            .into_iter()
            .filter(|kind| kind.contains(&true))
            .collect()
    }
}

/// The characters of a class.
pub(super) fn class_of(class: &hir::Class) -> Class {
    match class {
        hir::Class::Unicode(class) => {
            Class::ranges(class.iter().map(|range| (range.start(), range.end())))
        }
        hir::Class::Bytes(class) => Class::ranges(
            class
                .iter()
                .map(|range| (char::from(range.start()), char::from(range.end()))),
        ),
    }
}
