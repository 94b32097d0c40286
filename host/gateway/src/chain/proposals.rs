//! The latest proposals of a settler, for those who look at it.

use alloy_primitives::U256;
use gaia_chain::Settled;
use serde_json::{Value, json};

/// Proposals that are remembered, and told of.
const PROPOSALS_TOLD_MAX: usize = 16;

/// Proposals that this gateway has made or finalised, oldest first.
#[derive(Debug, Default)]
pub(super) struct Proposals(Vec<Proposal>);

#[derive(Debug)]
struct Proposal {
    id: U256,
    is_final: bool,
}

impl Proposals {
    /// Takes up what one settlement has done.
    pub(super) fn note(&mut self, settled: &Settled) {
        for id in &settled.proposed {
            self.entry(*id);
        }
        for id in &settled.finalised {
            self.entry(*id).is_final = true;
        }
        let beyond = self.0.len().saturating_sub(PROPOSALS_TOLD_MAX);
        self.0.drain(..beyond);
    }

    pub(super) fn told(&self) -> Value {
        let told = self.0.iter().map(|proposal| {
            let state = if proposal.is_final {
                "final"
            } else {
                "proposed"
            };
            json!({"id": proposal.id.to_string(), "state": state})
        });
        told.collect()
    }

    fn entry(&mut self, id: U256) -> &mut Proposal {
        let known = self.0.iter().position(|proposal| proposal.id == id);
        let place = known.unwrap_or_else(|| {
            let is_final = false;
            self.0.push(Proposal { id, is_final });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_proposals_are_remembered_and_no_more() {
        let mut proposals = Proposals::default();
        for id in 0..=PROPOSALS_TOLD_MAX {
            proposals.note(&Settled {
                proposed: vec![U256::from(id)],
                ..Settled::default()
            });
        }
        proposals.note(&Settled {
            finalised: vec![U256::from(3)],
            ..Settled::default()
        });
        let told = proposals.told();
        let told = told.as_array().unwrap();
        assert_eq!(told.len(), PROPOSALS_TOLD_MAX);
        assert_eq!(told[0]["id"], "1", "the oldest goes first");
        assert_eq!(told[2]["state"], "final");
        assert_eq!(told[3]["state"], "proposed");
    }
}
