//! What the node itself counted in each request, until the gateway's receipt comes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use alloy_primitives::B256;
use gaia_statements::Claimed;

/// Requests whose counts are kept; the oldest go first. A receipt follows its answer within seconds.
pub(crate) const CLAIMS_MAX: usize = 4_096;

/// What is known of a request that was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// To its end, and this is what the node counted.
    Counted(Claimed),
    /// Not to its end, or without a count: the client went away, or the node failed.
    Uncounted,
}

/// Counts by request.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    served: BTreeMap<B256, Served>,
    order: VecDeque<B256>,
}

impl Claims {
    pub(crate) fn add(&self, request: B256, served: Served) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.served.insert(request, served).is_none() {
            kept.order.push_back(request);
        }
        if kept.order.len() > CLAIMS_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.served.remove(&oldest);
        }
    }

    pub(crate) fn of(&self, request: B256) -> Option<Served> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.served.get(&request).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let claims = Claims::default();
        let id = |number: usize| B256::left_padding_from(&number.to_be_bytes());
        for number in 0..CLAIMS_MAX {
            claims.add(id(number), Served::Uncounted);
        }
        let counted = Served::Counted(Claimed(Default::default()));
        claims.add(id(0), counted);
        assert_eq!(
            claims.of(id(0)),
            Some(counted),
            "the same once more takes no room"
        );
        claims.add(id(CLAIMS_MAX), Served::Uncounted);
        assert_eq!(claims.of(id(0)), None);
        assert_eq!(claims.of(id(1)), Some(Served::Uncounted));
    }
}
