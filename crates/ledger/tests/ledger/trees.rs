//! The tree of shares against OpenZeppelin's own JavaScript, and against forgers.
//!
//! `vectors/merkle.json` was written by @openzeppelin/merkle-tree 1.0.8:
//! `StandardMerkleTree.of(shares, ["address", "address", "uint256"])`, its root and `getProof` of every share.

use crate::scene::{STABLE, TOKEN, account, units};
use alloy_primitives::{Address, B256};
use gaia_ledger::merkle::{SHARES_MAX, TreeError};
use gaia_ledger::{NanoUnits, Share, ShareTree};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn trees_of_every_shape_are_openzeppelins() {
    let trees: Value = serde_json::from_str(include_str!("../vectors/merkle.json")).unwrap();
    let trees = trees.as_array().unwrap();
    assert_eq!(trees.len(), 9);
    for tree in trees {
        let shares = tree["shares"].as_array().unwrap();
        let read = |share: &Value| Share {
            account: share[0].as_str().unwrap().parse().unwrap(),
            asset: share[1].as_str().unwrap().parse().unwrap(),
            cumulative: NanoUnits::new(share[2].as_str().unwrap().parse().unwrap()).unwrap(),
        };
        let shares: Vec<Share> = shares.iter().map(read).collect();
        let ours = ShareTree::new(&shares).unwrap();
        let root: B256 = tree["root"].as_str().unwrap().parse().unwrap();
        assert_eq!(ours.root(), root, "{} shares", shares.len());
        for (share, proof) in shares.iter().zip(tree["proofs"].as_array().unwrap()) {
            let proof: Vec<B256> = serde_json::from_value(proof.clone()).unwrap();
            assert_eq!(
                ours.proof(share.account, share.asset).unwrap(),
                (*share, proof)
            );
        }
    }
}

fn share(number: u8, asset: Address, cumulative: u64) -> Share {
    Share {
        account: account(number, asset).payer,
        asset,
        cumulative: units(cumulative),
    }
}

#[test]
fn there_is_no_tree_of_nothing_and_nobody_stands_in_it_twice() {
    assert_eq!(ShareTree::new(&[]), Err(TreeError::Empty));
    let twice = [share(1, STABLE, 5), share(1, STABLE, 6)];
    assert!(matches!(
        ShareTree::new(&twice),
        Err(TreeError::Twice { .. })
    ));
    let both = [share(1, STABLE, 5), share(1, TOKEN, 5)];
    let tree = ShareTree::new(&both).unwrap();
    let none = tree.proof(account(2, TOKEN).payer, TOKEN);
    assert!(matches!(none, Err(TreeError::NoShare { .. })));
}

#[test]
fn a_tree_has_a_million_leaves_at_most() {
    let shares = vec![share(1, STABLE, 1); SHARES_MAX + 1];
    assert_eq!(
        ShareTree::new(&shares),
        Err(TreeError::TooMany(SHARES_MAX + 1))
    );
    // As many as may be get as far as the next check.
    let twice = ShareTree::new(&shares[1..]);
    assert!(matches!(twice, Err(TreeError::Twice { .. })));
}

proptest! {
    #[test]
    fn a_proof_proves_its_share_and_nothing_else(count in 1_u8..40, who in 0_u8..40, more in 1_u64..1000) {
        let shares: Vec<Share> = (0..count).map(|n| share(n, STABLE, 10 * u64::from(n))).collect();
        let tree = ShareTree::new(&shares).unwrap();
        let wanted = shares[usize::from(who % count)];
        let (found, mut proof) = tree.proof(wanted.account, STABLE).unwrap();
        prop_assert!(found.is_proven(&proof, tree.root()));
        let greedy = Share { cumulative: units(found.cumulative.get() + more), ..found };
        prop_assert!(!greedy.is_proven(&proof, tree.root()));
        let elsewhere = Share { asset: TOKEN, ..found };
        prop_assert!(!elsewhere.is_proven(&proof, tree.root()));
        proof.push(tree.root());
        prop_assert!(!found.is_proven(&proof, tree.root()));
    }
}
