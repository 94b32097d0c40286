//! What nodes have earned for their operators: what receipts promise.

use super::{address, count, read_units, units};
use crate::sql::{Columns, SqlError, Value};
use crate::table::Table;
use gaia_ledger::account::EpochNumber;
use gaia_ledger::rows::{NodeKey, NodeRow};

pub(crate) struct Nodes;

impl Table for Nodes {
    type Key = NodeKey;
    type Row = NodeRow;
    const SELECT: &'static str = "SELECT epoch, before_epoch, total FROM nodes WHERE node = $1 AND operator = $2 AND asset = $3";
    const UPSERT: &'static str =
        "INSERT INTO nodes VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (node, operator, asset) DO UPDATE SET
        epoch = excluded.epoch, before_epoch = excluded.before_epoch, total = excluded.total";
    const DELETE: &'static str =
        "DELETE FROM nodes WHERE node = $1 AND operator = $2 AND asset = $3";

    fn key(key: &NodeKey) -> Vec<Value> {
        vec![address(key.node), address(key.operator), address(key.asset)]
    }

    fn cells(row: &NodeRow) -> Vec<Value> {
        vec![count(row.epoch.0), units(row.before), units(row.total)]
    }

    fn row(columns: &mut Columns) -> Result<NodeRow, SqlError> {
        Ok(NodeRow {
            epoch: EpochNumber(columns.count()?),
            before: read_units(columns)?,
            total: read_units(columns)?,
        })
    }

    fn is_nothing(row: &NodeRow) -> bool {
        *row == NodeRow::default()
    }
}
