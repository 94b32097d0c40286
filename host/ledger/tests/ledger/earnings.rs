//! What the books say to people who look at them.

use crate::places::Place;
use crate::scene::*;
use alloy_primitives::Address;
use gaia_ledger::Command;
use gaia_ledger::account::EpochNumber;
use std::pin::Pin;

pub fn what_can_be_spent_is_what_a_reservation_may_take(
    place: Place,
) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let ledger = place.open();
        let funds = async || ledger.funds(account(1), id(1)).await.unwrap();
        assert_eq!(funds().await.available, usd(0), "nothing was deposited");
        must(&ledger, "open", open_epoch(1)).await;
        must(&ledger, "in", deposit(1, 100)).await;
        assert_eq!(funds().await.available, usd(100));
        must(&ledger, "reserve:1", reserve(1, 1, 30)).await;
        let held = funds().await;
        assert_eq!((held.available, held.token.reserved), (usd(70), usd(30)));
        must(&ledger, "capture:1", capture(1, 20)).await;
        let paid = funds().await;
        assert_eq!((paid.available, paid.token.charged), (usd(80), usd(20)));
        // The next epoch runs, and the last one has yet to be paid.
        must(&ledger, "open:2", open_epoch(2)).await;
        assert_eq!(funds().await.available, usd(80));
        assert!(ask(&ledger, "reserve:2", reserve(2, 1, 81)).await.is_err());
        must(&ledger, "reserve:3", reserve(3, 1, 80)).await;
        assert_eq!(funds().await.available, usd(0));
    })
}

pub fn what_is_earned_is_told_by_epoch_role_and_node(
    place: Place,
) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let ledger = place.open();
        let operator = Address::repeat_byte(OPERATOR);
        let earnings = async |after| ledger.earnings(operator, after).await.unwrap();
        assert!(ledger.income().await.unwrap().is_empty());
        assert_eq!(earnings(Address::ZERO).await, Default::default());
        must(&ledger, "open", open_epoch(1)).await;
        must(&ledger, "in", deposit(1, 100)).await;
        must(&ledger, "reserve:1", reserve(1, 1, 30)).await;
        must(&ledger, "capture:1", capture(1, 20)).await;
        let income = ledger.income().await.unwrap();
        let income: Vec<_> = income
            .iter()
            .map(|row| (row.epoch.0, row.parties, row.earned))
            .collect();
        assert_eq!(income, [(1, 1, usd(2)), (1, 1, usd(18))]);
        let earned = earnings(Address::ZERO).await;
        assert_eq!(earned.open.len(), 1);
        assert_eq!(earned.open[0].earned, usd(18));
        assert_eq!(earned.nodes[0].node, NODE);
        assert_eq!(earned.nodes[0].row.total.get(), 18);
        assert!(earned.shares.is_empty() && !earned.has_more);
        assert!(earnings(NODE).await.nodes.is_empty(), "behind the last");

        must(&ledger, "open:2", open_epoch(2)).await;
        let close = Command::CloseAccount {
            account: account(1),
            epoch: EpochNumber(1),
        };
        must(&ledger, "account:1", close).await;
        let close = Command::CloseEpoch {
            asset: STABLE,
            epoch: EpochNumber(1),
        };
        must(&ledger, "epoch:1", close).await;
        let earned = earnings(Address::ZERO).await;
        assert!(earned.open.is_empty(), "{earned:?}");
        assert_eq!(earned.shares[0].1.cumulative.get(), 18);
        assert_eq!(earned.shares[0].1.claimed.get(), 0);
        assert_eq!(earned.nodes[0].row.total.get(), 18);
    })
}
