//! Transactions: signed with one key, sent, and seen through until they are in a block.
//!
//! A call is tried on the chain's state first, so that what a contract would refuse costs nothing and
//! says why. Everything has an end: gas, fees, tries, time. A transaction that was sent and not seen is
//! an error that says so; whoever sends asks the chain what is so before it sends again.

use crate::domain::{ChainError, check_chain};
use crate::refusal::Refusal;
use crate::rpc::{At, Mined, Rpc, RpcError};
use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_signer::SignerSync as _;
use alloy_sol_types::SolCall;
use gaia_keystore::NodeKey;
use serde_json::json;
use std::time::{Duration, Instant};

/// The most gas of a transaction: what a full batch of charges takes, twice.
pub const GAS_MAX: u64 = 30_000_000;

/// The most wei for a unit of gas: 1,000 gwei. Beyond it somebody is to look.
pub const FEE_MAX: u128 = 1_000_000_000_000;

/// How often a transaction that is not taken into a block is sent again with a higher fee.
pub const BUMPS_MAX: u32 = 3;

/// How long each of these is waited for.
const BLOCK_WAIT: Duration = Duration::from_secs(60);

/// Pauses between two looks, the first and the longest.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_LAST: Duration = Duration::from_secs(2);

/// Tries to get a nonce that nobody else with the same key has used.
const NONCES_MAX: u32 = 3;

/// The tip where the server names none: a gwei.
const TIP_DEFAULT: u128 = 1_000_000_000;

/// A key that pays for transactions, on one chain.
#[derive(Debug, Clone)]
pub struct Wallet {
    rpc: Rpc,
    chain_id: u64,
    key: NodeKey,
}

/// A transaction did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The chain gave no answer. Whether it was sent, only the chain knows.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The contract refuses it, or did.
    #[error("{0}")]
    Refused(Refusal),
    /// Nothing to pay for gas with.
    #[error("{0} has too little of the chain's coin to pay for gas: send it some")]
    NoCoin(Address),
    /// Too much gas.
    #[error("the transaction would take {0} gas, {GAS_MAX} are the most: split it")]
    Gas(u64),
    /// Too dear.
    #[error("a unit of gas costs {0} wei, {FEE_MAX} are the most that are paid here: wait")]
    Fee(u128),
    /// Not signed.
    #[error("the key cannot sign: {0}")]
    Sign(String),
    /// In no block, though it was sent.
    #[error(
        "the transaction {transaction} is in no block after {} s: look for it, and run the same again",
        waited.as_secs()
    )]
    NotMined {
        /// The last one that was sent.
        transaction: B256,
        /// How long it was waited for.
        waited: Duration,
    },
    /// In a block, and without effect.
    #[error("the transaction {0} failed, though it was tried before: run the same again")]
    Failed(B256),
    /// The key is in use elsewhere.
    #[error(
        "the numbers of {0}'s transactions are taken by somebody else: is the same key in use twice?"
    )]
    Nonce(Address),
    /// On another chain, or refused while reading.
    #[error(transparent)]
    Chain(Box<ChainError>),
}

impl From<ChainError> for SendError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Rpc(error) => Self::Rpc(error),
            ChainError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Chain(Box::new(other)),
        }
    }
}

impl SendError {
    /// What the contract refused with.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// What is to be done.
struct Transaction {
    to: Address,
    data: Bytes,
    value: U256,
    gas: u64,
    nonce: u64,
}

#[derive(Clone, Copy)]
struct Fees {
    most: u128,
    tip: u128,
}

impl Wallet {
    /// A wallet on the chain `chain_id`, which `rpc` must lead to.
    ///
    /// # Errors
    /// When it leads to another, or nowhere.
    pub async fn open(rpc: Rpc, chain_id: u64, key: NodeKey) -> Result<Self, ChainError> {
        check_chain(&rpc, chain_id).await?;
        Ok(Self { rpc, chain_id, key })
    }

    /// Whose it is.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The key, to sign statements with.
    #[must_use]
    pub fn key(&self) -> &NodeKey {
        &self.key
    }

    /// The way to the chain.
    #[must_use]
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Wei that are there for gas.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub async fn balance(&self) -> Result<U256, RpcError> {
        let params = json!([self.address(), "latest"]);
        self.rpc.ask("eth_getBalance", params).await
    }

    /// Calls a contract by a transaction, and returns when it is in a block.
    ///
    /// # Errors
    /// [`SendError`]; after [`SendError::Rpc`] and [`SendError::NotMined`] it may still come to pass.
    pub async fn send<C: SolCall>(&self, to: Address, call: C) -> Result<Mined, SendError> {
        self.pay(to, call, U256::ZERO).await
    }

    /// The same, with `value` wei.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn pay<C: SolCall>(
        &self,
        to: Address,
        call: C,
        value: U256,
    ) -> Result<Mined, SendError> {
        let data = Bytes::from(call.abi_encode());
        let gas = self.estimate(to, &data, value).await?;
        for _ in 0..NONCES_MAX {
            let nonce = self.next_nonce().await?;
            let transaction = Transaction {
                to,
                data: data.clone(),
                value,
                gas,
                nonce,
            };
            if let Some(mined) = self.see_through(&transaction).await? {
                return self.judge(&transaction, mined).await;
            }
        }
        Err(SendError::Nonce(self.address()))
    }

    /// Gas that the call takes now, and a quarter more.
    async fn estimate(&self, to: Address, data: &Bytes, value: U256) -> Result<u64, SendError> {
        let call = json!([{"from": self.address(), "to": to, "data": data, "value": value}]);
        let asked = self.rpc.ask::<U64>("eth_estimateGas", call).await;
        let asked = asked.map_err(|error| match lacks_coin(&error) {
            true => SendError::NoCoin(self.address()),
            false => crate::domain::refused(error).into(),
        });
        let gas: u64 = asked?.to();
        let gas = gas.saturating_add(gas / 4);
        if gas > GAS_MAX {
            return Err(SendError::Gas(gas));
        }
        Ok(gas)
    }

    async fn next_nonce(&self) -> Result<u64, SendError> {
        let params = json!([self.address(), "pending"]);
        let nonce: U64 = self.rpc.ask("eth_getTransactionCount", params).await?;
        Ok(nonce.to())
    }

    async fn fees(&self) -> Result<Fees, SendError> {
        let asked = self
            .rpc
            .ask::<U256>("eth_maxPriorityFeePerGas", json!([]))
            .await;
        let tip = match asked {
            Ok(tip) => tip.saturating_to(),
            Err(RpcError::Refused { .. }) => TIP_DEFAULT,
            Err(error) => return Err(error.into()),
        };
        let base: u128 = self.rpc.base_fee().await?.saturating_to();
        // Six full blocks in a row double the base fee.
        let most = base.saturating_mul(2).saturating_add(tip);
        Ok(Fees { most, tip })
    }

    /// Sends with rising fees until one is in a block. `None` where the nonce was another's.
    async fn see_through(&self, transaction: &Transaction) -> Result<Option<Mined>, SendError> {
        let began = Instant::now();
        let mut fees = self.fees().await?;
        let mut sent: Vec<B256> = Vec::new();
        for _ in 0..=BUMPS_MAX {
            if fees.most > FEE_MAX {
                return Err(SendError::Fee(fees.most));
            }
            let (hash, raw) = self.sign(transaction, fees)?;
            match self.submit(raw).await {
                Ok(()) => sent.push(hash),
                Err(Submitted::NonceUsed) if sent.is_empty() => return Ok(None),
                // One of those that were sent before has made it, or this one is no better than it.
                Err(Submitted::NonceUsed | Submitted::Underpriced) => {}
                Err(Submitted::Failed(error)) if lacks_coin(&error) => {
                    return Err(SendError::NoCoin(self.address()));
                }
                Err(Submitted::Failed(error)) => return Err(error.into()),
            }
            if let Some(mined) = self.look_for(&sent).await? {
                return Ok(Some(mined));
            }
            fees = fees.raised();
        }
        Err(SendError::NotMined {
            transaction: sent.last().copied().unwrap_or_default(),
            waited: began.elapsed(),
        })
    }

    fn sign(&self, transaction: &Transaction, fees: Fees) -> Result<(B256, Vec<u8>), SendError> {
        let unsigned = TxEip1559 {
            chain_id: self.chain_id,
            nonce: transaction.nonce,
            gas_limit: transaction.gas,
            max_fee_per_gas: fees.most,
            max_priority_fee_per_gas: fees.tip,
            to: TxKind::Call(transaction.to),
            value: transaction.value,
            access_list: Default::default(),
            input: transaction.data.clone(),
        };
        let signer = self.key.signer();
        let signature = signer.sign_hash_sync(&unsigned.signature_hash());
        let signature = signature.map_err(|error| SendError::Sign(error.to_string()))?;
        let signed = unsigned.into_signed(signature);
        let mut raw = Vec::new();
        signed.eip2718_encode(&mut raw);
        Ok((*signed.hash(), raw))
    }

    async fn submit(&self, raw: Vec<u8>) -> Result<(), Submitted> {
        let params = json!([Bytes::from(raw)]);
        let sent = self.rpc.ask::<B256>("eth_sendRawTransaction", params).await;
        match sent {
            Ok(_) => Ok(()),
            Err(RpcError::Refused { message, .. })
                if says(&message, &["already known", "already imported"]) =>
            {
                Ok(())
            }
            Err(RpcError::Refused { message, .. }) if says(&message, &["nonce too low"]) => {
                Err(Submitted::NonceUsed)
            }
            Err(RpcError::Refused { message, .. }) if says(&message, &["underpriced"]) => {
                Err(Submitted::Underpriced)
            }
            Err(error) => Err(Submitted::Failed(error)),
        }
    }

    async fn look_for(&self, sent: &[B256]) -> Result<Option<Mined>, SendError> {
        let until = Instant::now() + BLOCK_WAIT;
        let mut pause = LOOK_FIRST;
        loop {
            for hash in sent {
                if let Some(mined) = self.rpc.mined(*hash).await? {
                    return Ok(Some(mined));
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_LAST);
        }
    }

    /// A transaction that failed in its block is tried again there, to learn why.
    async fn judge(&self, transaction: &Transaction, mined: Mined) -> Result<Mined, SendError> {
        if mined.succeeded {
            return Ok(mined);
        }
        let at = At::Block(mined.block);
        let (to, data) = (transaction.to, transaction.data.to_vec());
        match self.rpc.call(Some(self.address()), to, data, at).await {
            Err(error) if error.reverted().is_some() => Err(crate::domain::refused(error).into()),
            _ => Err(SendError::Failed(mined.transaction)),
        }
    }
}

impl Fees {
    /// A quarter more: servers replace a transaction for a tenth.
    fn raised(self) -> Self {
        let raise = |fee: u128| fee.saturating_add(fee / 4).saturating_add(1);
        Self {
            most: raise(self.most),
            tip: raise(self.tip),
        }
    }
}

enum Submitted {
    NonceUsed,
    Underpriced,
    Failed(RpcError),
}

/// Servers agree on these words: the key cannot pay for the gas.
fn lacks_coin(error: &RpcError) -> bool {
    let words = ["insufficient funds", "gas required exceeds allowance (0)"];
    matches!(error, RpcError::Refused { message, .. } if says(message, &words))
}

fn says(message: &str, any: &[&str]) -> bool {
    let message = message.to_lowercase();
    any.iter().any(|part| message.contains(part))
}
