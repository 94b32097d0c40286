//! A capture and its receipt are one transaction.

use crate::places::Place;
use crate::scene::*;
use alloy_primitives::{Address, B256};
use gaia_ledger::price::ModelId;
use gaia_ledger_store::{Served, SignedBy};
use gaia_statements::TokenCounts;
use std::pin::Pin;

pub fn a_receipt_comes_with_its_capture(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let ledger = place.open();
        must(&ledger, "open", open_epoch(1)).await;
        must(&ledger, "in", deposit(1, 100)).await;
        for request in [1, 2] {
            must(
                &ledger,
                format!("reserve:{request}"),
                reserve(request, 1, 9),
            )
            .await;
            assert_eq!(ledger.receipt(id(request)).await.unwrap(), None);
            let mut order = order(format!("capture:{request}"), capture(request, 7));
            order.receipt = Some(served(request, 7));
            ledger.execute(order.clone()).await.unwrap();
            // Once more, as somebody does who has got no reply.
            ledger.execute(order).await.unwrap();
        }
        drop(ledger);
        let ledger = place.open();
        let found = ledger.receipt(id(2)).await.unwrap().unwrap();
        assert_eq!(found.receipt.cost, usd(7));
        assert_eq!(found.receipt.account_cumulative, usd(14));
        assert_eq!(found.receipt.key_cumulative, usd(14));
        assert_eq!(found.receipt.operator, Address::repeat_byte(OPERATOR));
        // Nine tenths of seven, twice, each by the largest remainder.
        assert_eq!(found.receipt.node_cumulative.get(), 12);
        assert_eq!(found.receipt.epoch.0, 1);
        assert_eq!(
            (found.node_signature, found.gateway_signature),
            (None, None)
        );

        let unsigned = async |after| ledger.unsigned_receipts(id(after)).await.unwrap();
        assert_eq!(unsigned(0).await, [id(1), id(2)]);
        assert_eq!(unsigned(1).await, [id(2)]);
        ledger
            .sign_receipt(id(2), SignedBy::Node, [1; 65])
            .await
            .unwrap();
        ledger
            .sign_receipt(id(2), SignedBy::Gateway, [2; 65])
            .await
            .unwrap();
        ledger
            .sign_receipt(id(2), SignedBy::Node, [3; 65])
            .await
            .unwrap();
        let found = ledger.receipt(id(2)).await.unwrap().unwrap();
        assert_eq!(
            (found.node_signature, found.gateway_signature),
            (Some([1; 65]), Some([2; 65]))
        );

        assert_eq!(unsigned(0).await, [id(1)]);

        let both = vec![
            (id(1), SignedBy::Node, [4; 65]),
            (id(1), SignedBy::Gateway, [5; 65]),
            (id(2), SignedBy::Node, [6; 65]),
        ];
        ledger.sign_receipts(both).await.unwrap();
        assert!(unsigned(0).await.is_empty());
        let found = ledger.receipt(id(1)).await.unwrap().unwrap();
        assert_eq!(
            (found.node_signature, found.gateway_signature),
            (Some([4; 65]), Some([5; 65]))
        );
        let found = ledger.receipt(id(2)).await.unwrap().unwrap();
        assert_eq!(found.node_signature, Some([1; 65]));

        // A refused capture leaves none.
        let mut order = order("capture:3", capture(3, 1));
        order.receipt = Some(served(3, 7));
        ledger.execute(order).await.unwrap_err();
        assert_eq!(ledger.receipt(id(3)).await.unwrap(), None);
    })
}

/// What is said of a request that cost so much.
pub fn served(request: u64, cost: u64) -> Served {
    Served {
        domain_id: B256::repeat_byte(0xdd),
        request: id(request),
        account: account(1),
        key: id(1),
        node: NODE,
        model: ModelId::of("smollm2-135m-instruct"),
        price_version: 3,
        tokens: TokenCounts {
            input: 5,
            cached: 1,
            output: 2,
        },
        cost: usd(cost),
        time: NOW,
    }
}
