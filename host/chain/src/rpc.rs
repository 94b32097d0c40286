//! JSON-RPC 2.0 over HTTP, as execution clients speak it.
//!
//! Every question has a limit of time and of bytes. What a server says is checked by type; what is no
//! answer is an error that names the server and the method. URLs often hold a key, so of an URL only
//! the host is ever shown.

mod error;
mod raw;

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

pub use error::RpcError;
use raw::{Answer, RawBlock, RawLog, RawReceipt, kept, reverted_with, short};

/// How long a connection to the server may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long one question may take.
pub const QUESTION_LIMIT: Duration = Duration::from_secs(30);

/// The longest answer, in bytes.
pub const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A way to one chain. Clones share connections.
#[derive(Clone)]
pub struct Rpc {
    agent: Agent,
    url: Arc<str>,
    next_id: Arc<AtomicU64>,
}

/// A block's place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// How many are before it.
    pub number: u64,
    /// Its hash: another one at the same number is another chain.
    pub hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// A line that a contract has written into the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Which contract.
    pub address: Address,
    /// What it can be found by.
    pub topics: Vec<B256>,
    /// The rest.
    pub data: Bytes,
    /// In which block.
    pub block: u64,
    /// Of which transaction.
    pub transaction: B256,
    /// Its number within the block.
    pub index: u64,
}

/// What became of a transaction that is in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// The transaction.
    pub transaction: B256,
    /// In which block.
    pub block: u64,
    /// Whether it did what it was to do.
    pub succeeded: bool,
    /// What contracts wrote.
    pub logs: Vec<Log>,
}

/// Which state of the chain a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The last block.
    Latest,
    /// The block that is being made: where time has gone on.
    Pending,
    /// After a block.
    Block(u64),
}

impl At {
    fn json(self) -> Value {
        match self {
            Self::Latest => json!("latest"),
            Self::Pending => json!("pending"),
            Self::Block(number) => json!(U64::from(number)),
        }
    }
}

impl Rpc {
    /// To the server at `url` (`http://` or `https://`). Nothing is sent yet.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_global(Some(QUESTION_LIMIT))
            // A server that sends elsewhere would be told what is asked here.
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .into();
        Self {
            agent,
            url: url.into(),
            next_id: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The host of the URL: what may be shown of it.
    #[must_use]
    pub fn host(&self) -> String {
        let rest = self
            .url
            .split_once("://")
            .map_or(&*self.url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        host.to_owned()
    }

    /// Asks `method`, for a `T`.
    ///
    /// # Errors
    /// [`RpcError`]. Nothing is asked twice here: callers know whether that is safe.
    pub async fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let rpc = self.clone();
        let asked = tokio::task::spawn_blocking(move || rpc.ask_blocking(method, &params));
        asked.await.map_err(|_| RpcError::Stopped(method))?
    }

    fn ask_blocking<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, RpcError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let sent = self.agent.post(&*self.url).send_json(body);
        let reply = sent.map_err(|error| self.unreachable(method, &error.to_string()))?;
        let status = reply.status();
        let mut text = String::new();
        reply
            .into_body()
            .into_reader()
            .take(ANSWER_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| self.unreachable(method, &error.to_string()))?;
        if text.len() as u64 > ANSWER_BYTES_MAX {
            let why = format!("longer than {ANSWER_BYTES_MAX} bytes");
            return Err(self.nonsense(method, why));
        }
        match serde_json::from_str::<Answer>(&text) {
            Ok(answer) => self.result(method, id, answer),
            Err(error) if status.is_success() => Err(self.nonsense(method, error.to_string())),
            Err(_) => Err(RpcError::Status {
                host: self.host(),
                method,
                status: status.as_u16(),
                said: short(&text),
            }),
        }
    }

    fn result<T: DeserializeOwned>(
        &self,
        method: &'static str,
        id: u64,
        answer: Answer,
    ) -> Result<T, RpcError> {
        if let Some(error) = answer.error {
            return Err(RpcError::Refused {
                method,
                code: error.code,
                message: short(&error.message),
                data: error.data.as_ref().and_then(reverted_with),
            });
        }
        if answer.id != Some(id) {
            return Err(self.nonsense(method, "an answer to another question".to_owned()));
        }
        serde_json::from_value(answer.result.unwrap_or(Value::Null))
            .map_err(|error| self.nonsense(method, error.to_string()))
    }

    fn unreachable(&self, method: &'static str, why: &str) -> RpcError {
        RpcError::Reach {
            host: self.host(),
            method,
            // Errors of connections may repeat the whole URL.
            why: short(&why.replace(&*self.url, &self.host())),
        }
    }

    fn nonsense(&self, method: &'static str, why: String) -> RpcError {
        RpcError::Nonsense {
            host: self.host(),
            method,
            why,
        }
    }

    /// The chain's id (EIP-155).
    ///
    /// # Errors
    /// As [`Self::ask`], like all that follow.
    pub async fn chain_id(&self) -> Result<u64, RpcError> {
        Ok(self.ask::<U64>("eth_chainId", json!([])).await?.to())
    }

    /// A block; `None` where there is none of that number.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn block(&self, at: At) -> Result<Option<Block>, RpcError> {
        let found = self.raw_block(at).await?;
        Ok(found.map(|block| Block {
            number: block.number.unwrap_or_default().to(),
            hash: block.hash.unwrap_or_default(),
            timestamp: block.timestamp.to(),
        }))
    }

    /// The last block.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn head(&self) -> Result<Block, RpcError> {
        let head = self.block(At::Latest).await?;
        head.ok_or_else(|| self.nonsense("eth_getBlockByNumber", "a chain without blocks".into()))
    }

    /// The chain's time: that of the block which is being made, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn now(&self) -> Result<u64, RpcError> {
        match self.block(At::Pending).await {
            Ok(Some(block)) => Ok(block.timestamp),
            // Not every server shows the pending block.
            Ok(None) | Err(RpcError::Refused { .. }) => Ok(self.head().await?.timestamp),
            Err(error) => Err(error),
        }
    }

    /// Wei for a unit of gas that the last block burnt.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn base_fee(&self) -> Result<U256, RpcError> {
        let head = self.raw_block(At::Latest).await?;
        Ok(head
            .and_then(|block| block.base_fee_per_gas)
            .unwrap_or_default())
    }

    async fn raw_block(&self, at: At) -> Result<Option<RawBlock>, RpcError> {
        self.ask("eth_getBlockByNumber", json!([at.json(), false]))
            .await
    }

    /// What `address` wrote from one block to another, both included.
    ///
    /// # Errors
    /// As [`Self::ask`]; servers refuse ranges that hold too much.
    pub async fn logs(&self, address: Address, from: u64, to: u64) -> Result<Vec<Log>, RpcError> {
        let filter = json!([{
            "address": address,
            "fromBlock": U64::from(from),
            "toBlock": U64::from(to),
        }]);
        let found: Vec<RawLog> = self.ask("eth_getLogs", filter).await?;
        Ok(kept(found))
    }

    /// Runs a call on the chain's state without a transaction.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`RpcError::Refused`] with data where the contract reverts.
    pub async fn call(
        &self,
        from: Option<Address>,
        to: Address,
        data: Vec<u8>,
        at: At,
    ) -> Result<Bytes, RpcError> {
        let mut call = json!({"to": to, "data": Bytes::from(data)});
        if let Some(from) = from {
            call["from"] = json!(from);
        }
        self.ask("eth_call", json!([call, at.json()])).await
    }

    /// What became of a transaction; `None` while it is in no block.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn mined(&self, transaction: B256) -> Result<Option<Mined>, RpcError> {
        let found: Option<RawReceipt> = self
            .ask("eth_getTransactionReceipt", json!([transaction]))
            .await?;
        Ok(found.map(|receipt| Mined {
            transaction: receipt.transaction_hash,
            block: receipt.block_number.to(),
            succeeded: receipt.status == U64::from(1),
            logs: kept(receipt.logs),
        }))
    }
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rpc({})", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_url_only_the_host_is_shown() {
        let check = |url, host: &str| {
            let rpc = Rpc::new(url);
            assert_eq!(rpc.host(), host);
            assert!(!format!("{rpc:?}").contains("secret"));
        };
        check("https://chain.example/v3/secret", "chain.example");
        check(
            "https://user:secret@chain.example:8545?key=secret",
            "chain.example:8545",
        );
        check("http://127.0.0.1:8545", "127.0.0.1:8545");
    }

    #[test]
    fn what_a_contract_gave_back_is_found_where_clients_put_it() {
        let check = |data: Value, found: Option<&[u8]>| {
            assert_eq!(reverted_with(&data).as_ref().map(AsRef::as_ref), found);
        };
        check(json!("0x01ff"), Some(&[1, 255]));
        check(json!("Reverted 0x01ff"), Some(&[1, 255]));
        check(json!({"data": "0x01ff"}), Some(&[1, 255]));
        check(json!({"message": "x"}), None);
        check(json!("no hex"), None);
    }
}
