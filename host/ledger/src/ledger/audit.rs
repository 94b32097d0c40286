//! The journal read again, and the tables held to it.

use super::ReadError;
use crate::journal;
use crate::sql::{Connection, SqlError};
use crate::table::Rows;
use crate::tables::{Accounts, Earned, Nodes, Tokens};
use gaia_ledger::account::{KeyId, LedgerAccount};
use gaia_ledger::book::ReplayError;
use gaia_ledger::{AccountId, Book, Command, Currency, NanoUsd};
use std::collections::BTreeSet;

/// Entries that are read at a time.
const PAGE: u64 = 1000;

/// What an audit has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Entries, each decided again.
    pub entries: u64,
    /// Rows that were compared.
    pub rows: u64,
}

/// The books are not what the journal says.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// They cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The database failed.
    #[error("failed to read the ledger")]
    Sql(#[from] SqlError),
    /// The journal is damaged.
    #[error("the journal is damaged")]
    Journal(#[from] ReplayError),
    /// A row says something else than the journal.
    #[error(
        "{row} says something else than the journal: stop serving, and restore the tables from it"
    )]
    Row {
        /// Which.
        row: String,
    },
    /// As many rows are there as should be, or more.
    #[error("the table {table} has {found} rows, the journal makes {expected}")]
    Rows {
        /// Which.
        table: &'static str,
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
}

pub(super) fn audit(connection: &mut dyn Connection) -> Result<Audit, AuditError> {
    let mut journal = Vec::new();
    loop {
        let page = journal::entries(connection, journal.len() as u64, PAGE)?;
        if page.is_empty() {
            break;
        }
        journal.extend(page);
    }
    let (accounts, tokens) = touched(journal.iter().map(|entry| &entry.command));
    let entries = journal.len() as u64;
    let book = Book::replay(journal)?;
    let mut rows = 0;
    let mut same = |same: bool, row: &dyn Fn() -> String| match same {
        true => {
            rows += 1;
            Ok(())
        }
        false => Err(AuditError::Row { row: row() }),
    };
    let mut found = Rows::<Accounts>::default();
    for account in &accounts {
        let row = found.get(connection, *account)?.unwrap_or_default();
        same(row == book.account(*account), &|| {
            format!("the account {account}")
        })?;
    }
    let mut found = Rows::<Tokens>::default();
    for (account, token) in &tokens {
        let row = found
            .get(connection, (*account, *token))?
            .unwrap_or_default();
        same(row == book.token(*account, *token), &|| {
            format!("the access token {token} of {account}")
        })?;
    }
    let mut found = Rows::<Earned>::default();
    let mut parties = 0;
    for (account, currency, amount) in book.balances() {
        let (LedgerAccount::Earned(party), Currency::Usd(asset, epoch)) = (account, currency)
        else {
            continue;
        };
        parties += 1;
        let row: NanoUsd = found
            .get(connection, (asset, epoch, party))?
            .unwrap_or_default();
        same(i128::from(row.get()) == amount, &|| {
            format!("what {party:?} has earned in {epoch}")
        })?;
    }
    let mut found = Rows::<Nodes>::default();
    let mut nodes = 0;
    for (key, earned) in book.nodes() {
        nodes += 1;
        let row = found.get(connection, key)?.unwrap_or_default();
        same(row == earned, &|| {
            format!("what the node {} has earned", key.node)
        })?;
    }
    let shares = book.shares();
    let mut found = Rows::<crate::tables::Shares>::default();
    for share in &shares {
        let row = found
            .get(connection, (share.account, share.asset))?
            .unwrap_or_default();
        same(row == book.share(share.account, share.asset), &|| {
            format!("the share of {}", share.account)
        })?;
    }
    as_many(connection, "earned", "SELECT COUNT(*) FROM earned", parties)?;
    as_many(connection, "nodes", "SELECT COUNT(*) FROM nodes", nodes)?;
    as_many(
        connection,
        "shares",
        "SELECT COUNT(*) FROM shares",
        shares.len() as u64,
    )?;
    Ok(Audit { entries, rows })
}

/// The accounts and access tokens that commands name.
fn touched<'a>(
    commands: impl Iterator<Item = &'a Command>,
) -> (BTreeSet<AccountId>, BTreeSet<(AccountId, KeyId)>) {
    let mut accounts = BTreeSet::new();
    let mut tokens = BTreeSet::new();
    for command in commands {
        match command {
            Command::Deposit { account, .. } => {
                accounts.insert(*account);
            }
            Command::Reserve(reserve) => {
                accounts.insert(reserve.account);
                tokens.insert((reserve.account, reserve.key));
            }
            _ => {}
        }
    }
    (accounts, tokens)
}

fn as_many(
    connection: &mut dyn Connection,
    table: &'static str,
    sql: &'static str,
    expected: u64,
) -> Result<(), AuditError> {
    let counted = connection.query(sql, &[])?;
    let found = counted
        .into_iter()
        .next()
        .map_or(Ok(0), |mut columns| columns.count())?;
    if found == expected {
        return Ok(());
    }
    Err(AuditError::Rows {
        table,
        found,
        expected,
    })
}
