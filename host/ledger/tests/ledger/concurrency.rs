//! Many at once: nobody is served on money that is not there.

use crate::places::Place;
use crate::scene::*;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gaia_ledger::Refusal;
use gaia_ledger_store::{BATCH_LEN_MAX, ExecuteError, JOBS_LEN_MAX, Ledger};
use std::path::PathBuf;
use std::pin::Pin;

const REQUESTS: u64 = 1000;

pub fn credit_for_ten_serves_ten(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let ledger = place.open();
        assert_eq!(serve(std::slice::from_ref(&ledger)).await, 10);
        check(&ledger).await;
    })
}

pub fn two_gateways_share_credit_for_ten(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let gateways = [place.open(), place.open()];
        assert_eq!(serve(&gateways).await, 10);
        for gateway in &gateways {
            check(gateway).await;
        }
    })
}

/// A thousand requests for one each, on a deposit of ten. How many were served.
async fn serve(gateways: &[Ledger]) -> usize {
    must(&gateways[0], "open", open_epoch(1)).await;
    must(&gateways[0], "in", deposit(1, 10)).await;
    let requests = (0..REQUESTS).map(|request| {
        let ledger = gateways[request as usize % gateways.len()].clone();
        tokio::spawn(async move {
            match ask(
                &ledger,
                format!("reserve:{request}"),
                reserve(request, 1, 1),
            )
            .await
            {
                Ok(_) => must(&ledger, format!("capture:{request}"), capture(request, 1)).await,
                Err(ExecuteError::Refused(Refusal::InsufficientFunds { .. })) => return false,
                Err(error) => panic!("{error}"),
            };
            true
        })
    });
    let requests: Vec<_> = requests.collect();
    let mut served = 0;
    for request in requests {
        served += usize::from(request.await.unwrap());
    }
    served
}

async fn check(ledger: &Ledger) {
    let row = ledger.account(account(1)).await.unwrap();
    assert_eq!((row.held.get(), row.charged.get()), (10, 10));
    // The epoch, the deposit, ten reservations and ten captures; refusals leave nothing.
    assert_eq!(ledger.audit().await.unwrap().entries, 22);
}

/// More wait than may: who comes then is told at once, and the others are served.
pub async fn a_full_line_is_told(path: PathBuf) {
    let ledger = Place::File(path.clone()).open();
    must(&ledger, "open", open_epoch(1)).await;
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let orders = (0..JOBS_LEN_MAX + BATCH_LEN_MAX + 1).map(|number| format!("in:{number}"));
    let asked = orders.map(|key| ask(&ledger, key, deposit(1, 1)));
    // Those for whom there is no room are ready first: nobody else can be while the other holds the file.
    let mut asked: FuturesUnordered<_> = asked.collect();
    let told = asked.next().await.unwrap();
    assert!(matches!(told, Err(ExecuteError::Busy)), "{told:?}");
    other.execute_batch("COMMIT").unwrap();
    let mut served = 0;
    while let Some(answer) = asked.next().await {
        served += u64::from(answer.is_ok());
    }
    assert!(served >= JOBS_LEN_MAX as u64, "{served}");
    assert_eq!(ledger.account(account(1)).await.unwrap().held.get(), served);
}
