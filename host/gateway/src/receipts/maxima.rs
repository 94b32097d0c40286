//! How many receipts and signatures wait, and what becomes of the next one.

use std::pin::pin;

use futures::poll;

use super::*;

#[test]
fn so_many_receipts_wait_and_the_next_is_left_to_be_looked_for() {
    let (receipts, mut waiting) = Receipts::new();
    for number in 0..RECEIPTS_WAITING_MAX + 10 {
        receipts.ask(B256::left_padding_from(&number.to_be_bytes()));
    }
    assert_eq!(waiting.wanted.len(), RECEIPTS_WAITING_MAX);
    waiting.wanted.try_recv().unwrap();
    receipts.ask(B256::ZERO);
    assert_eq!(waiting.wanted.len(), RECEIPTS_WAITING_MAX);
}

#[tokio::test]
async fn so_many_signatures_wait_and_whoever_brings_the_next_waits_himself() {
    let (receipts, mut waiting) = Receipts::new();
    let signed = || (B256::ZERO, SignedBy::Node, [0; 65]);
    for _ in 0..SIGNATURES_WAITING_MAX {
        receipts.signed.try_send(signed()).unwrap();
    }
    let mut next = pin!(receipts.signed.send(signed()));
    assert!(poll!(next.as_mut()).is_pending());
    let mut batch = Vec::new();
    let written = waiting
        .signed
        .recv_many(&mut batch, SIGNATURES_WAITING_MAX)
        .await;
    assert_eq!(written, SIGNATURES_WAITING_MAX);
    next.await.unwrap();
}
