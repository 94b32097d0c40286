//! How often requests may be sent again: a part of those that arrive, so that a storm cannot feed itself.

/// What is saved up at most, in attempts.
pub(crate) const SAVED_MAX: f64 = 20.0;

#[derive(Debug)]
pub(crate) struct RetryBudget {
    fraction: f64,
    saved: f64,
}

impl RetryBudget {
    pub fn new(fraction: f64) -> Self {
        Self {
            fraction,
            saved: SAVED_MAX,
        }
    }

    /// A request arrived, and brings a part of an attempt with it.
    pub fn earn(&mut self) {
        self.saved = (self.saved + self.fraction).min(SAVED_MAX);
    }

    /// Whether one more attempt is granted.
    pub fn take(&mut self) -> bool {
        let granted = self.saved >= 1.0;
        if granted {
            self.saved -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_not_multiplied() {
        let mut budget = RetryBudget::new(0.25);
        let mut granted = 0;
        for _ in 0..10_000 {
            budget.earn();
            granted += u32::from(budget.take()) + u32::from(budget.take());
        }
        assert!((2_500..=2_520).contains(&granted), "{granted}");
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let mut budget = RetryBudget::new(0.25);
        (0..10_000).for_each(|_| budget.earn());
        let granted = (0..10_000).filter(|_| budget.take()).count();
        assert_eq!(granted, SAVED_MAX as usize);
    }
}
