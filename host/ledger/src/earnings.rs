//! What the books say to people who look at them: what an account can still spend, what a party has earned.
//!
//! Only reads. Sums are over epochs that are not closed; what was earned before them is in the shares.

use crate::ledger::{Ledger, ReadError};
use crate::sql::{Columns, Connection, SqlError};
use crate::table::Rows;
use crate::tables::{
    Accounts, EpochsTable, OwedTable, Shares, Tokens, address, count, read_address, read_role,
    read_units, read_usd,
};
use alloy_primitives::Address;
use gaia_ledger::account::{EpochNumber, KeyId};
use gaia_ledger::rows::{AccountRow, NodeRow, OpenEpoch, Owed, ShareRow, TokenRow, View};
use gaia_ledger::{AccountId, NanoUsd, Role};

/// Rows of one page, at most. Strangers may ask for pages, and whoever is charged waits meanwhile: not many.
pub const EARNINGS_LEN_MAX: usize = 200;

/// What an access token can still spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funds {
    /// The account that pays.
    pub account: AccountRow,
    /// What it can still spend in the epoch that runs.
    pub available: NanoUsd,
    /// What the token has spent, and set aside.
    pub token: TokenRow,
}

/// What all parties of a role have earned in an epoch that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Income {
    /// In which asset.
    pub asset: Address,
    /// In which epoch.
    pub epoch: EpochNumber,
    /// As what.
    pub role: Role,
    /// How many they are.
    pub parties: u64,
    /// How much.
    pub earned: NanoUsd,
}

/// What a node has earned for its operator in an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeEarnings {
    /// Which node.
    pub node: Address,
    /// In which asset.
    pub asset: Address,
    /// Ever, and in the epochs before its latest.
    pub row: NodeRow,
}

/// What a party has earned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earnings {
    /// In epochs that are not closed.
    pub open: Vec<Income>,
    /// In those that are, by asset: ever, and of that drawn.
    pub shares: Vec<(Address, ShareRow)>,
    /// By the nodes that earn for it, in the order of their addresses.
    pub nodes: Vec<NodeEarnings>,
    /// Whether there are more nodes.
    pub has_more: bool,
}

impl Ledger {
    /// What a token of an account can still spend.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn funds(&self, account: AccountId, key: KeyId) -> Result<Funds, ReadError> {
        self.read(move |connection| funds(connection, account, key))
            .await
    }

    /// What was earned in the epochs that are not closed, by role.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn income(&self) -> Result<Vec<Income>, ReadError> {
        self.read(|connection| {
            let sql = "SELECT asset, epoch, role, COUNT(*), CAST(SUM(amount) AS BIGINT) FROM earned
                GROUP BY asset, epoch, role ORDER BY asset, epoch, role LIMIT $1";
            let found = connection.query(sql, &[count(EARNINGS_LEN_MAX as u64)])?;
            found.into_iter().map(read_income).collect()
        })
        .await
    }

    /// What `party` has earned, with [`EARNINGS_LEN_MAX`] of its nodes at most: those behind `after`; zero begins.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn earnings(&self, party: Address, after: Address) -> Result<Earnings, ReadError> {
        self.read(move |connection| earnings(connection, party, after))
            .await
    }
}

fn funds(
    connection: &mut dyn Connection,
    account: AccountId,
    key: KeyId,
) -> Result<Funds, SqlError> {
    let epochs = Rows::<EpochsTable>::default().get(connection, account.asset)?;
    let epochs = epochs.unwrap_or_default();
    let row = Rows::<Accounts>::default().get(connection, account)?;
    let mut owed = |epoch: Option<OpenEpoch>| -> Result<Owed, SqlError> {
        let Some(epoch) = epoch else {
            return Ok(Owed::default());
        };
        let mut rows = Rows::<OwedTable>::default();
        let found = rows.get(connection, (account, epoch.number))?;
        Ok(found.unwrap_or_default())
    };
    let view = View {
        epochs,
        account: row.unwrap_or_default(),
        current: owed(epochs.current)?,
        closing: owed(epochs.closing)?,
        ..View::default()
    };
    let token = Rows::<Tokens>::default().get(connection, (account, key))?;
    Ok(Funds {
        account: view.account,
        // A sum that is no amount cannot be spent.
        available: view.available().unwrap_or(NanoUsd::ZERO),
        token: token.unwrap_or_default(),
    })
}

fn earnings(
    connection: &mut dyn Connection,
    party: Address,
    after: Address,
) -> Result<Earnings, SqlError> {
    let limit = count(EARNINGS_LEN_MAX as u64);
    let sql = "SELECT asset, epoch, role, CAST(1 AS BIGINT), amount FROM earned
        WHERE party = $1 ORDER BY asset, epoch, role LIMIT $2";
    let open = connection.query(sql, &[address(party), limit.clone()])?;
    let open = open.into_iter().map(read_income);
    let sql = "SELECT asset FROM shares WHERE party = $1 ORDER BY asset LIMIT $2";
    let assets = connection.query(sql, &[address(party), limit])?;
    let mut shares = Vec::new();
    for mut columns in assets {
        let asset = read_address(&mut columns)?;
        let row = Rows::<Shares>::default().get(connection, (party, asset))?;
        shares.push((asset, row.unwrap_or_default()));
    }
    let sql = "SELECT node, asset, epoch, before_epoch, total FROM nodes
        WHERE operator = $1 AND node > $2 ORDER BY node, asset LIMIT $3";
    let one_more = count(EARNINGS_LEN_MAX as u64 + 1);
    let nodes = connection.query(sql, &[address(party), address(after), one_more])?;
    let mut nodes: Vec<NodeEarnings> =
        nodes.into_iter().map(read_node).collect::<Result<_, _>>()?;
    let has_more = cut(&mut nodes);
    Ok(Earnings {
        open: open.collect::<Result<_, _>>()?,
        shares,
        nodes,
        has_more,
    })
}

/// Cuts a page before the node that does not fit with all of its assets; whether there was one.
fn cut(nodes: &mut Vec<NodeEarnings>) -> bool {
    let Some(beyond) = nodes.get(EARNINGS_LEN_MAX).map(|row| row.node) else {
        return false;
    };
    nodes.retain(|row| row.node != beyond);
    true
}

fn read_income(mut columns: Columns) -> Result<Income, SqlError> {
    Ok(Income {
        asset: read_address(&mut columns)?,
        epoch: EpochNumber(columns.count()?),
        role: read_role(&mut columns)?,
        parties: columns.count()?,
        earned: read_usd(&mut columns)?,
    })
}

fn read_node(mut columns: Columns) -> Result<NodeEarnings, SqlError> {
    Ok(NodeEarnings {
        node: read_address(&mut columns)?,
        asset: read_address(&mut columns)?,
        row: NodeRow {
            epoch: EpochNumber(columns.count()?),
            before: read_units(&mut columns)?,
            total: read_units(&mut columns)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(node: u8, asset: u8) -> NodeEarnings {
        NodeEarnings {
            node: Address::repeat_byte(node),
            asset: Address::repeat_byte(asset),
            row: NodeRow::default(),
        }
    }

    #[test]
    fn a_page_ends_between_two_nodes() {
        let mut short = vec![row(1, 1), row(1, 2)];
        assert!(!cut(&mut short));
        assert_eq!(short.len(), 2);
        let mut long = vec![row(1, 1); EARNINGS_LEN_MAX - 1];
        long.extend([row(2, 1), row(2, 2)]);
        assert!(cut(&mut long));
        assert_eq!(long.len(), EARNINGS_LEN_MAX - 1);
    }
}
