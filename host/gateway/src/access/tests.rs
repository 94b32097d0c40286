//! How many tokens are remembered, and looked up at a time.

use std::pin::pin;

use futures::poll;
use gaia_ledger_store::Location;

use super::*;

fn accesses() -> (tempfile::TempDir, Accesses) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Location::File(folder.path().join("ledger.db"))).unwrap();
    let limits = Limits {
        token_age_max: Duration::from_secs(3_600),
        ..Limits::default()
    };
    (folder, Accesses::new(ledger, limits))
}

fn key(number: usize) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

fn remember(accesses: &Accesses, number: usize) -> Access {
    let record = TokenRecord {
        payer: Address::ZERO,
        asset: Address::ZERO,
        limit: 0,
        is_revoked: false,
    };
    accesses.remember(key(number), record)
}

#[test]
fn tokens_that_nobody_uses_make_room() {
    let (_folder, accesses) = accesses();
    let used = remember(&accesses, 0);
    for number in 1..TOKENS_KNOWN_MAX {
        remember(&accesses, number);
    }
    // One that is known needs no room.
    remember(&accesses, 1);
    assert_eq!(lock(&accesses.known).len(), TOKENS_KNOWN_MAX);
    remember(&accesses, TOKENS_KNOWN_MAX);
    assert_eq!(lock(&accesses.known).len(), 2);
    assert!(accesses.remembered(used.key).is_some());
}

#[test]
fn where_all_tokens_are_used_none_is_remembered_beyond_the_maximum() {
    let (_folder, accesses) = accesses();
    let used: Vec<_> = (0..TOKENS_KNOWN_MAX)
        .map(|number| remember(&accesses, number))
        .collect();
    remember(&accesses, TOKENS_KNOWN_MAX);
    assert_eq!(lock(&accesses.known).len(), 1);
    // Who is being served goes on.
    assert!(accesses.enter(&used[0]).is_ok());
}

#[tokio::test]
async fn so_many_tokens_are_looked_up_at_a_time() {
    let (_folder, accesses) = accesses();
    let token = AccessToken::new([7; 32]);
    let mut headers = HeaderMap::new();
    let text = format!("Bearer {}", token.reveal());
    headers.insert(AUTHORIZATION, text.parse().unwrap());
    let places = u32::try_from(LOOKUPS_MAX).unwrap();
    let others = accesses.lookups.try_acquire_many(places).unwrap();
    let mut asked = pin!(accesses.of(&headers));
    assert!(poll!(asked.as_mut()).is_pending());
    // The ledger has answered all that it was asked before this.
    accesses.ledger.entries(0).await.unwrap();
    assert!(poll!(asked.as_mut()).is_pending(), "it has not been asked");
    drop(others);
    assert!(asked.await.is_err_and(|error| error.status == 401));
    assert!(lock(&accesses.known).is_empty(), "guesses fill nothing");
}
