//! Quantiles out of the buckets of a histogram.
//!
//! Within a bucket values are taken to lie evenly, as Prometheus does; beyond the last bucket with an end nothing is
//! known but that end.

use serde::Serialize;

/// Where half and nineteen of twenty values lie at or below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// The median, in seconds; none where nothing was counted.
    pub p50: Option<f64>,
    /// Nineteen of twenty, in seconds.
    pub p95: Option<f64>,
    /// How many values there were.
    pub count: u64,
}

impl Quantiles {
    /// Those of the values counted between `before` and `now`: upper ends with cumulated counts, rising.
    pub fn between(before: &[(f64, f64)], now: &[(f64, f64)]) -> Self {
        let earlier = |end: f64| {
            before
                .iter()
                .find(|(at, _)| *at == end)
                .map_or(0.0, |b| b.1)
        };
        let counted: Vec<(f64, f64)> = now
            .iter()
            .map(|(end, count)| (*end, (count - earlier(*end)).max(0.0)))
            .collect();
        Self {
            p50: quantile(&counted, 0.5),
            p95: quantile(&counted, 0.95),
            count: counted.last().map_or(0.0, |(_, count)| *count) as u64,
        }
    }
}

fn quantile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let all = buckets.last()?.1;
    if all <= 0.0 {
        return None;
    }
    let rank = share * all;
    let (mut lower_end, mut below) = (0.0, 0.0);
    for (end, count) in buckets {
        if *count >= rank && *count > below {
            let inside = (rank - below) / (count - below);
            let is_bounded = end.is_finite();
            return Some(match is_bounded {
                true => lower_end + (end - lower_end) * inside,
                false => lower_end,
            });
        }
        (lower_end, below) = (*end, *count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITE: f64 = f64::INFINITY;

    #[test]
    fn values_lie_evenly_within_a_bucket() {
        let check = |buckets: &[(f64, f64)], p50, p95| {
            let found = Quantiles::between(&[], buckets);
            assert_eq!((found.p50, found.p95), (p50, p95), "{buckets:?}");
        };
        check(&[(1.0, 10.0), (INFINITE, 10.0)], Some(0.5), Some(0.95));
        check(
            &[(1.0, 0.0), (3.0, 100.0), (INFINITE, 100.0)],
            Some(2.0),
            Some(2.9),
        );
        check(
            &[(1.0, 50.0), (2.0, 50.0), (4.0, 100.0)],
            Some(1.0),
            Some(3.8),
        );
    }

    #[test]
    fn beyond_the_last_end_that_end_is_said() {
        let found = Quantiles::between(&[], &[(300.0, 1.0), (INFINITE, 10.0)]);
        assert_eq!((found.p50, found.p95), (Some(300.0), Some(300.0)));
    }

    #[test]
    fn only_what_came_since_counts() {
        let before = [(1.0, 90.0), (2.0, 90.0), (INFINITE, 90.0)];
        let now = [(1.0, 90.0), (2.0, 100.0), (INFINITE, 100.0)];
        let found = Quantiles::between(&before, &now);
        assert_eq!((found.p50, found.count), (Some(1.5), 10));
        assert_eq!(Quantiles::between(&now, &now), Quantiles::default());
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(Quantiles::between(&[], &[]), Quantiles::default());
        let empty = [(1.0, 0.0), (INFINITE, 0.0)];
        assert_eq!(Quantiles::between(&[], &empty), Quantiles::default());
    }
}
