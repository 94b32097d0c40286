//! Records: read as they were written, changed by one at a time, and bounded.

use crate::places::Place;
use gaia_ledger_store::{
    RECORD_NAME_LEN_MAX, RECORD_VALUE_LEN_MAX, RECORDS_LEN_MAX, Record, RecordError,
};
use std::pin::Pin;

type Done = Pin<Box<dyn Future<Output = ()>>>;

fn record(id: &str, version: u64, value: &str) -> Record {
    let (id, value) = (id.to_owned(), value.to_owned());
    Record { id, version, value }
}

pub fn a_record_is_changed_by_one_at_a_time(place: Place) -> Done {
    Box::pin(async move {
        let ledger = place.open();
        assert_eq!(ledger.record("member", "a").await.unwrap(), None);
        let put = |value: &'static str, expected| ledger.put_record("member", "a", value, expected);
        assert_eq!(put("one", Some(0)).await.unwrap(), 1);
        assert_eq!(put("two", Some(1)).await.unwrap(), 2);
        let late = put("lost", Some(1)).await.unwrap_err();
        assert!(
            matches!(
                late,
                RecordError::Version {
                    expected: 1,
                    found: 2,
                    ..
                }
            ),
            "{late}"
        );
        put("lost", Some(0)).await.unwrap_err();
        assert_eq!(put("three", None).await.unwrap(), 3);
        drop(ledger);
        let ledger = place.open();
        let found = ledger.record("member", "a").await.unwrap();
        assert_eq!(found, Some(record("a", 3, "three")));
        assert_eq!(ledger.record("token", "a").await.unwrap(), None);
        ledger.remove_record("member", "a").await.unwrap();
        ledger.remove_record("member", "a").await.unwrap();
        assert_eq!(ledger.record("member", "a").await.unwrap(), None);
    })
}

pub fn of_many_who_change_a_record_none_is_lost(place: Place) -> Done {
    Box::pin(async move {
        let gateways = [place.open(), place.open()];
        gateways[0]
            .put_record("cursor", "chain", "0", None)
            .await
            .unwrap();
        let adding = (0..20).map(|number| {
            let ledger = gateways[number % 2].clone();
            tokio::spawn(async move {
                loop {
                    let before = ledger.record("cursor", "chain").await.unwrap().unwrap();
                    let next = (before.value.parse::<u64>().unwrap() + 1).to_string();
                    let put = ledger.put_record("cursor", "chain", &next, Some(before.version));
                    match put.await {
                        Ok(_) => return,
                        Err(RecordError::Version { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        });
        for adding in adding.collect::<Vec<_>>() {
            adding.await.unwrap();
        }
        let found = gateways[1].record("cursor", "chain").await.unwrap();
        assert_eq!(found, Some(record("chain", 21, "20")));
    })
}

pub fn records_come_in_pages_and_within_limits(place: Place) -> Done {
    Box::pin(async move {
        let ledger = place.open();
        for number in 0..RECORDS_LEN_MAX + 1 {
            ledger
                .put_record("page", &format!("{number:04}"), "", None)
                .await
                .unwrap();
        }
        let first = ledger.records("page", "", u64::MAX).await.unwrap();
        assert_eq!(first.len() as u64, RECORDS_LEN_MAX);
        let last = &first.last().unwrap().id;
        let rest = ledger.records("page", last, 5).await.unwrap();
        assert_eq!(rest, [record("1000", 1, "")]);
        assert_eq!(ledger.records("page", "", 2).await.unwrap(), first[..2]);

        let long = "x".repeat(RECORD_NAME_LEN_MAX + 1);
        let large = "x".repeat(RECORD_VALUE_LEN_MAX + 1);
        for (kind, id, value) in [(&*long, "", ""), ("", &*long, ""), ("", "", &*large)] {
            let told = ledger.put_record(kind, id, value, None).await.unwrap_err();
            assert!(matches!(told, RecordError::TooLong { .. }), "{told}");
        }
        ledger
            .put_record("large", "", &large[1..], None)
            .await
            .unwrap();
    })
}
