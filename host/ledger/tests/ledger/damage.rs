//! Databases that are not as this ledger left them.

use crate::places::Place;
use crate::scene::*;
use gaia_ledger_store::{AuditError, Ledger};
use std::error::Error;
use std::pin::Pin;

pub fn a_later_version_is_not_touched(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        drop(place.open());
        place.edit("UPDATE gaia_ledger SET version = 1000");
        let error = Ledger::open(place.location()).unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("run the newer one"), "{error}: {cause}");
    })
}

pub fn an_audit_finds_an_edited_row(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let ledger = place.open();
        must(&ledger, "open", open_epoch(1)).await;
        must(&ledger, "in", deposit(1, 100)).await;
        must(&ledger, "reserve", reserve(1, 1, 20)).await;
        must(&ledger, "capture", capture(1, 20)).await;
        let audit = ledger.audit().await.unwrap();
        assert_eq!(audit.entries, 4);
        assert!(audit.rows >= 4, "{audit:?}");

        let found =
            |error: AuditError, word: &str| assert!(error.to_string().contains(word), "{error}");
        place.edit("UPDATE accounts SET held = held + 1");
        found(ledger.audit().await.unwrap_err(), "the account");
        place.edit("UPDATE accounts SET held = held - 1");
        place.edit("UPDATE earned SET amount = amount + 1 WHERE role = 0");
        found(ledger.audit().await.unwrap_err(), "Domain");
        place.edit("UPDATE earned SET amount = amount - 1 WHERE role = 0");
        place.edit("UPDATE nodes SET total = total + 1");
        found(ledger.audit().await.unwrap_err(), "the node");
        place.edit("UPDATE nodes SET total = total - 1");
        place.edit("UPDATE nodes SET before_epoch = before_epoch + 1");
        found(ledger.audit().await.unwrap_err(), "the node");
        place.edit("UPDATE nodes SET before_epoch = before_epoch - 1");
        place.edit(
            "INSERT INTO nodes SELECT operator, node, asset, epoch, before_epoch, total FROM nodes",
        );
        found(ledger.audit().await.unwrap_err(), "the table nodes");
        place.edit("DELETE FROM nodes WHERE node < operator");
        ledger.audit().await.unwrap();
        place.edit("DELETE FROM entries WHERE number = 1");
        found(ledger.audit().await.unwrap_err(), "journal");
    })
}
