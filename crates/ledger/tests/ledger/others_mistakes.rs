//! What other people's payment code got wrong, as tests that this one passes.

use crate::scene::*;
use gaia_ledger::price::ModelId;
use gaia_ledger::{Command, ModelPrice, Refusal, Role, Share, ShareTree};
use gaia_statements::{Claimed, CountTolerance, Counted, TokenCounts};

/// Virtuals' `ACPSimple.sol` sets the claimed amount before it subtracts it from what is due, so that
/// the provider is paid nothing.
#[test]
fn acp_simple_a_provider_draws_all_that_it_earned_and_then_only_what_is_new() {
    let mut desk = Desk::open(ONE);
    desk.must(&deposit(account(1, STABLE), 1_000));
    let node = party(Role::NodeOperator, 0xd1).address;
    let mut drawn = 0;
    for (epoch, cost, earned) in [(1, 100, 70), (2, 200, 210)] {
        desk.must(&reserve(epoch, account(1, STABLE), cost));
        desk.must(&capture(epoch, cost));
        desk.must(&open(STABLE, epoch + 1, ONE));
        desk.close(STABLE, epoch);
        let row = desk.book.share(node, STABLE);
        assert_eq!(row.cumulative, units(earned));
        let due = row.cumulative.checked_sub(row.claimed).unwrap();
        assert_eq!(due, units(earned - drawn));
        desk.must(&Command::Claim {
            party: node,
            asset: STABLE,
            units: due,
        });
        drawn += due.get();
    }
    assert_eq!(drawn, 210);
    assert_eq!(desk.book.share(node, STABLE).claimed, units(210));
}

/// HyperBEAM's `simple-pay` looks at the balance and charges later: requests that run at the same time
/// all see the same money.
#[test]
fn hyperbeam_requests_at_the_same_time_do_not_see_the_same_money() {
    let mut desk = Desk::open(ONE);
    desk.must(&deposit(account(1, STABLE), 10));
    let admitted = (1..=100)
        .filter(|request| desk.ask(&reserve(*request, account(1, STABLE), 10)).is_ok())
        .count();
    assert_eq!(admitted, 1);
    desk.must(&capture(1, 10));
    assert!(desk.ask(&reserve(101, account(1, STABLE), 1)).is_err());
}

/// x402's batch settlement lets a receiver claim up to the ceiling that the payer has signed.
#[test]
fn x402_a_request_takes_what_it_cost_and_not_what_it_could_have() {
    let mut desk = Desk::open(ONE);
    let payer = account(1, STABLE);
    desk.must(&deposit(payer, 100));
    desk.must(&reserve(1, payer, 100));
    desk.must(&capture(1, 3));
    assert_eq!(desk.available(payer), 97);
    assert!(matches!(
        desk.refused(&capture(1, 97)),
        Refusal::ReservationOver { .. }
    ));
    desk.must(&open(STABLE, 2, ONE));
    desk.close(STABLE, 1);
    let shares: u64 = desk.book.shares().iter().map(|s| s.cumulative.get()).sum();
    assert_eq!(shares, 3);
    // Nor does a share prove more than itself.
    let tree = ShareTree::new(&desk.book.shares()).unwrap();
    let node = party(Role::NodeOperator, 0xd1).address;
    let (share, proof) = tree.proof(node, STABLE).unwrap();
    let ceiling = Share {
        cumulative: units(100),
        ..share
    };
    assert!(share.is_proven(&proof, tree.root()));
    assert!(!ceiling.is_proven(&proof, tree.root()));
}

/// gaia-domain counts use from a `total_tokens` that it finds in the reply's text, which the node
/// writes.
#[test]
fn gaia_domain_what_a_node_claims_changes_no_cost() {
    let price = ModelPrice {
        model: ModelId::of("m"),
        input: usd(1_000_000),
        cached: usd(0),
        output: usd(2_000_000),
    };
    let counted = Counted(TokenCounts {
        input: 100,
        cached: 0,
        output: 50,
    });
    // `cost` takes what was counted: a claim is of another type, and no text is read anywhere.
    assert_eq!(price.cost(&counted), Ok(usd(200)));
    let claimed = Claimed(TokenCounts {
        input: 100,
        cached: 0,
        output: 5_000,
    });
    assert!(!CountTolerance::default().covers(&counted, &claimed));
}
