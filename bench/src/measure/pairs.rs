//! Two contenders in turn, often: A B, B A, A B, … What else the machine does meets both halves of a pair, and each
//! comes first as often as second.

use crate::load::settle;
use crate::statistics::ratios;

/// What was found pair by pair.
#[derive(Debug, Default, Clone)]
pub struct Pairs {
    /// Ours.
    pub ours: Vec<f64>,
    /// The other's, each beside ours.
    pub theirs: Vec<f64>,
}

impl Pairs {
    /// Measures `count` more pairs; both are told which one of them it is.
    ///
    /// # Errors
    /// One of them could not be measured.
    pub fn add(
        &mut self,
        count: usize,
        mut ours: impl FnMut(usize) -> anyhow::Result<f64>,
        mut theirs: impl FnMut(usize) -> anyhow::Result<f64>,
    ) -> anyhow::Result<()> {
        let mut ours = |number| {
            settle();
            ours(number)
        };
        let mut theirs = |number| {
            settle();
            theirs(number)
        };
        for number in 0..count {
            // Also where one pair is added at a time.
            if self.ours.len().is_multiple_of(2) {
                self.ours.push(ours(number)?);
                self.theirs.push(theirs(number)?);
            } else {
                let other = theirs(number)?;
                self.ours.push(ours(number)?);
                self.theirs.push(other);
            }
        }
        Ok(())
    }

    /// Ours to the other's, of each pair.
    pub fn ratios(&self) -> Vec<f64> {
        ratios(&self.ours, &self.theirs)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn they_take_turns_at_being_first() {
        let order = RefCell::new(String::new());
        let put = |who: char, value: f64| {
            order.borrow_mut().push(who);
            Ok(value)
        };
        let mut pairs = Pairs::default();
        pairs.add(3, |_| put('a', 3.0), |_| put('b', 2.0)).unwrap();
        pairs.add(1, |_| put('a', 3.0), |_| put('b', 2.0)).unwrap();
        assert_eq!(*order.borrow(), "abbaabba");
        assert_eq!(pairs.ratios(), [1.5; 4]);
    }
}
