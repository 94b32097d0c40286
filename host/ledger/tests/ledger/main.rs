//! The ledger on SQLite and on PostgreSQL: the same scenarios on both, with real processes that are killed.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod concurrency;
mod damage;
mod earnings;
mod kills;
mod oracle;
mod places;
mod receipts;
mod records;
mod scene;
mod server;
mod tls;

use places::{Place, Scenario};
use server::{Postgres, new_database};

/// What holds on every database.
const SCENARIOS: &[(&str, Scenario)] = &[
    ("decides_as_the_book_does", oracle::decides_as_the_book_does),
    (
        "a_retry_gets_the_first_answer",
        oracle::a_retry_gets_the_first_answer,
    ),
    (
        "credit_for_ten_serves_ten",
        concurrency::credit_for_ten_serves_ten,
    ),
    (
        "two_gateways_share_credit_for_ten",
        concurrency::two_gateways_share_credit_for_ten,
    ),
    (
        "a_receipt_comes_with_its_capture",
        receipts::a_receipt_comes_with_its_capture,
    ),
    (
        "a_record_is_changed_by_one_at_a_time",
        records::a_record_is_changed_by_one_at_a_time,
    ),
    (
        "of_many_who_change_a_record_none_is_lost",
        records::of_many_who_change_a_record_none_is_lost,
    ),
    (
        "records_come_in_pages_and_within_limits",
        records::records_come_in_pages_and_within_limits,
    ),
    (
        "what_can_be_spent_is_what_a_reservation_may_take",
        earnings::what_can_be_spent_is_what_a_reservation_may_take,
    ),
    (
        "what_is_earned_is_told_by_epoch_role_and_node",
        earnings::what_is_earned_is_told_by_epoch_role_and_node,
    ),
    (
        "what_was_answered_survives_kill_9",
        kills::what_was_answered_survives_kill_9,
    ),
    (
        "a_later_version_is_not_touched",
        damage::a_later_version_is_not_touched,
    ),
    (
        "an_audit_finds_an_edited_row",
        damage::an_audit_finds_an_edited_row,
    ),
];

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap()
}

#[test]
fn sqlite_keeps_the_books() {
    for (name, scenario) in SCENARIOS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(scenario(Place::File(folder.path().join("ledger.db"))));
    }
}

#[test]
fn a_full_line_is_told() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(concurrency::a_full_line_is_told(
        folder.path().join("ledger.db"),
    ));
}

#[test]
fn postgres_keeps_the_books() {
    let mut server = Postgres::start();
    let database =
        |server: &Postgres, name| Place::Postgres(new_database(&server.url("postgres"), name));
    for (name, scenario) in SCENARIOS {
        println!("{name}");
        runtime().block_on(scenario(database(&server, name)));
    }
    let place = database(&server, "a_server_that_is_killed");
    runtime().block_on(kills::a_server_that_is_killed(&mut server, place));
}

/// Not a test of its own: the process that [`kills`] starts and kills.
#[test]
fn worker() {
    kills::work_if_asked();
}
