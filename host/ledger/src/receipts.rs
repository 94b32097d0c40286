//! Receipts, written in the transaction that captures; signatures come after, by those who can sign.

use crate::sql::{Columns, Connection, SqlError, Value};
use crate::tables::{count, hash};
use alloy_primitives::{Address, B256};
use gaia_ledger::account::{KeyId, ReservationId, Timestamp};
use gaia_ledger::price::ModelId;
use gaia_ledger::{AccountId, NanoUsd, Outcome, Receipt};
use gaia_statements::TokenCounts;

/// What a receipt says besides what the ledger knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The domain.
    pub domain_id: B256,
    /// The request, which is its reservation's id.
    pub request: ReservationId,
    /// Who pays.
    pub account: AccountId,
    /// With which access token.
    pub key: KeyId,
    /// The node that served: the same as in the capture.
    pub node: Address,
    /// The model that was asked.
    pub model: ModelId,
    /// The price table that held.
    pub price_version: u32,
    /// What the gateway counted.
    pub tokens: TokenCounts,
    /// What that costs.
    pub cost: NanoUsd,
    /// When it was served.
    pub time: Timestamp,
}

/// A receipt and the signatures that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReceipt {
    /// What it says.
    pub receipt: Receipt,
    /// The node's signature.
    pub node_signature: Option<[u8; 65]>,
    /// The gateway's.
    pub gateway_signature: Option<[u8; 65]>,
}

impl Served {
    /// The receipt of a capture; `None` for another outcome.
    pub(crate) fn receipt(&self, outcome: &Outcome) -> Option<Receipt> {
        let Outcome::Captured {
            epoch,
            key_cumulative,
            account_cumulative,
            operator,
            node_cumulative,
            ..
        } = *outcome
        else {
            return None;
        };
        Some(Receipt {
            domain_id: self.domain_id,
            request_id: self.request,
            key_id: self.key,
            payer: self.account.payer,
            asset: self.account.asset,
            node: self.node,
            operator,
            model: self.model,
            price_version: self.price_version,
            tokens: self.tokens,
            cost: self.cost,
            key_cumulative,
            account_cumulative,
            node_cumulative,
            epoch,
            time: self.time,
        })
    }
}

/// Keeps a receipt; one that is there stays as it is.
pub(crate) fn keep(connection: &mut dyn Connection, receipt: &Receipt) -> Result<(), SqlError> {
    let text =
        serde_json::to_string(receipt).map_err(|error| SqlError::Database(error.to_string()))?;
    let sql =
        "INSERT INTO receipts (request, receipt) VALUES ($1, $2) ON CONFLICT (request) DO NOTHING";
    connection.execute(sql, &[hash(receipt.request_id), Value::Text(text)])
}

/// The receipt of a request.
pub(crate) fn find(
    connection: &mut dyn Connection,
    request: ReservationId,
) -> Result<Option<StoredReceipt>, SqlError> {
    let sql = "SELECT receipt, node_signature, gateway_signature FROM receipts WHERE request = $1";
    let found = connection.query(sql, &[hash(request)])?;
    found.into_iter().next().map(stored).transpose()
}

/// Requests whose receipts their nodes have not signed, in the order of their ids.
pub(crate) fn unsigned(
    connection: &mut dyn Connection,
    after: ReservationId,
    limit: u64,
) -> Result<Vec<ReservationId>, SqlError> {
    let sql = "SELECT request FROM receipts WHERE node_signature IS NULL AND request > $1
        ORDER BY request LIMIT $2";
    let found = connection.query(sql, &[hash(after), count(limit)])?;
    let ids = found.into_iter();
    ids.map(|mut columns| Ok(B256::from(columns.bytes()?)))
        .collect()
}

/// Adds a signature that is not there yet.
pub(crate) fn sign(
    connection: &mut dyn Connection,
    request: ReservationId,
    by: SignedBy,
    signature: [u8; 65],
) -> Result<(), SqlError> {
    let sql = match by {
        SignedBy::Node => {
            "UPDATE receipts SET node_signature = $1 WHERE request = $2 AND node_signature IS NULL"
        }
        SignedBy::Gateway => {
            "UPDATE receipts SET gateway_signature = $1 WHERE request = $2 AND gateway_signature IS NULL"
        }
    };
    connection.execute(sql, &[Value::Bytes(signature.to_vec()), hash(request)])
}

/// The same for many at once.
pub(crate) fn sign_all(
    connection: &mut dyn Connection,
    signatures: &[(ReservationId, SignedBy, [u8; 65])],
) -> Result<(), SqlError> {
    connection.begin()?;
    let mut signatures = signatures.iter();
    let signed = signatures
        .try_for_each(|(request, by, signature)| sign(connection, *request, *by, *signature));
    match signed {
        // One that is lost with the machine's power is asked for again.
        Ok(()) => connection.commit_soon(),
        Err(error) => {
            connection.rollback();
            Err(error)
        }
    }
}

/// Whose signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The node that served.
    Node,
    /// The domain's gateway.
    Gateway,
}

fn stored(mut columns: Columns) -> Result<StoredReceipt, SqlError> {
    Ok(StoredReceipt {
        receipt: columns.next(|cell| match cell {
            Value::Text(text) => serde_json::from_str(&text).ok(),
            _ => None,
        })?,
        node_signature: columns.optional_bytes()?,
        gateway_signature: columns.optional_bytes()?,
    })
}
