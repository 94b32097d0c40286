//! Answers as servers write them.

use super::Log;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::Deserialize;
use serde_json::Value;

/// The most of a server's own words that an error repeats.
const SAID_LEN_MAX: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawBlock {
    pub(super) number: Option<U64>,
    pub(super) hash: Option<B256>,
    pub(super) timestamp: U64,
    pub(super) base_fee_per_gas: Option<U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawLog {
    pub(super) address: Address,
    pub(super) topics: Vec<B256>,
    pub(super) data: Bytes,
    pub(super) block_number: U64,
    pub(super) transaction_hash: B256,
    pub(super) log_index: U64,
    #[serde(default)]
    pub(super) removed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawReceipt {
    pub(super) transaction_hash: B256,
    pub(super) block_number: U64,
    pub(super) status: U64,
    pub(super) logs: Vec<RawLog>,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) id: Option<u64>,
    pub(super) result: Option<Value>,
    pub(super) error: Option<AnswerError>,
}

#[derive(Deserialize)]
pub(super) struct AnswerError {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

pub(super) fn kept(logs: Vec<RawLog>) -> Vec<Log> {
    let standing = logs.into_iter().filter(|log| !log.removed);
    let log = |log: RawLog| Log {
        address: log.address,
        topics: log.topics,
        data: log.data,
        block: log.block_number.to(),
        transaction: log.transaction_hash,
        index: log.log_index.to(),
    };
    standing.map(log).collect()
}

/// Clients put what a contract gave back into `data`, plain or a level deeper.
pub(super) fn reverted_with(data: &Value) -> Option<Bytes> {
    match data {
        Value::String(text) => text.strip_prefix("Reverted ").unwrap_or(text).parse().ok(),
        Value::Object(fields) => fields.get("data").and_then(reverted_with),
        _ => None,
    }
}

pub(super) fn short(text: &str) -> String {
    text.trim().chars().take(SAID_LEN_MAX).collect()
}
