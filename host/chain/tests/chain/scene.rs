//! A domain with payers, a node and a ledger, and what happens there in a day.

use crate::chain::*;
use alloy_primitives::{Address, B256, U256};
use alloy_signer::SignerSync as _;
use gaia_chain::contracts::NodeJoin;
use gaia_chain::registry::{self, SignedJoin};
use gaia_chain::{Asset, Domain, Settled, Settler, Watcher, payer};
use gaia_ledger::account::Timestamp;
use gaia_ledger::command::Reserve;
use gaia_ledger::price::{ModelId, ModelPrice};
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{
    AccountId, Command, IdempotencyKey, NanoUnits, NanoUsd, Outcome, Party, PriceTable, Role, Split,
};
use gaia_ledger_store::{Ledger, Location, Order, Served, SignedBy};
use gaia_statements::TokenCounts;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub const ONE: u64 = 1_000_000_000;

/// A domain, its chain, its ledger.
pub struct Scene {
    pub chain: Chain,
    pub domain: Domain,
    pub ledger: Ledger,
    folder: tempfile::TempDir,
    requests: AtomicU64,
}

pub fn units(nano: u64) -> NanoUnits {
    NanoUnits::new(nano).unwrap()
}

pub fn usd(nano: u64) -> NanoUsd {
    NanoUsd::new(nano).unwrap()
}

pub fn open(file: &Path) -> Ledger {
    Ledger::open(Location::File(file.to_owned())).unwrap()
}

fn now() -> Timestamp {
    Timestamp(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
}

/// A dollar a million tokens read, so that a token costs 1,000 nano-USD.
fn table() -> PriceTable {
    let price = ModelPrice {
        model: ModelId::of("model"),
        input: usd(ONE),
        cached: usd(ONE / 2),
        output: usd(2 * ONE),
    };
    PriceTable::new(1, vec![price]).unwrap()
}

impl Scene {
    pub async fn new() -> Self {
        let chain = Chain::start().await;
        let folder = tempfile::tempdir().unwrap();
        Self {
            domain: chain.domain().await,
            ledger: open(&folder.path().join("ledger.sqlite")),
            chain,
            folder,
            requests: AtomicU64::new(1),
        }
    }

    /// With a published price table and an admitted node: what challenges are answered with.
    pub async fn with_node() -> Self {
        let scene = Self::new().await;
        let owner = scene.chain.wallet(OWNER).await;
        assert!(
            registry::publish_prices(&owner, &scene.domain, &table())
                .await
                .unwrap()
        );
        assert!(
            !registry::publish_prices(&owner, &scene.domain, &table())
                .await
                .unwrap()
        );
        let gateway = scene.chain.wallet(GATEWAY).await;
        let join = NodeJoin {
            domainId: scene.domain.place.domain_id,
            node: address(NODE),
            operator: address(NODE),
            configHash: B256::ZERO,
            endpoint: "http://127.0.0.1:1".to_owned(),
            nonce: 1,
            expiry: u64::MAX,
        };
        let digest = scene.domain.signing_domain().digest(&join);
        let signature = key(NODE).signer().sign_hash_sync(&digest).unwrap();
        let signed = SignedJoin {
            join,
            signature: signature.as_bytes().to_vec().into(),
            consent: None,
        };
        registry::admit(&gateway, &scene.domain, signed)
            .await
            .unwrap();
        assert!(
            registry::was_admitted(&scene.domain, address(NODE))
                .await
                .unwrap()
        );
        scene
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The ledger as it is, in another place. Nobody may be writing.
    pub fn copy_ledger(&self, to: &Path) {
        for end in ["", "-wal"] {
            let from = self.file(&format!("ledger.sqlite{end}"));
            if from.exists() {
                std::fs::copy(from, format!("{}{end}", to.display())).unwrap();
            }
        }
    }

    pub fn stable(&self) -> &Asset {
        self.domain.asset("stable").unwrap()
    }

    pub fn token(&self) -> &Asset {
        self.domain.asset("token").unwrap()
    }

    pub fn watcher(&self) -> Watcher {
        Watcher::new(self.domain.clone(), self.ledger.clone(), 0)
    }

    pub async fn settler(&self) -> Settler {
        let wallet = self.chain.wallet(GATEWAY).await;
        Settler::new(self.domain.clone(), self.ledger.clone(), wallet)
    }

    pub async fn settle(&self) -> Settled {
        self.settler().await.settle().await.unwrap()
    }

    /// Follows the chain to its end.
    pub async fn follow(&self) -> usize {
        let mut events = 0;
        loop {
            let step = self.watcher().step().await.unwrap();
            events += step.events;
            if !step.is_behind {
                return events;
            }
        }
    }

    pub async fn deposit(&self, who: usize, asset: &Asset, nano: u64) {
        let wallet = self.chain.wallet(who).await;
        payer::deposit(&wallet, &self.domain, asset, units(nano))
            .await
            .unwrap();
    }

    pub async fn order(&self, key: String, command: Command, served: Option<Served>) -> Outcome {
        let order = Order {
            key: IdempotencyKey::new(key).unwrap(),
            command,
            now: now(),
            receipt: served,
        };
        self.ledger.execute(order).await.unwrap()
    }

    fn next_request(&self) -> B256 {
        B256::from(U256::from(self.requests.fetch_add(1, Ordering::Relaxed)))
    }

    fn split(&self) -> Split {
        let party = |role, who| Party {
            role,
            address: address(who),
        };
        Split::new(vec![
            (party(Role::Domain, TREASURY), BasisPoints(1_500)),
            (party(Role::NodeOperator, OPERATOR), BasisPoints(8_500)),
        ])
        .unwrap()
    }

    /// A request of `tokens` that are read, served and signed by both.
    pub async fn serve(&self, who: usize, asset: &Asset, tokens: u64) -> B256 {
        let request = self.serve_unsigned(who, asset, tokens).await;
        self.sign(request).await;
        request
    }

    /// Whether the account has enough for `tokens`.
    pub async fn try_reserve(
        &self,
        who: usize,
        asset: &Asset,
        tokens: u64,
    ) -> Result<Outcome, gaia_ledger_store::ExecuteError> {
        let request = self.next_request();
        let order = Order {
            key: IdempotencyKey::new(format!("reserve:{request}")).unwrap(),
            command: Command::Reserve(Reserve {
                reservation: request,
                account: AccountId {
                    payer: address(who),
                    asset: asset.address,
                },
                key: B256::repeat_byte(who as u8),
                amount: usd(tokens * 1_000),
                key_limit: None,
                lifetime_seconds: 600,
            }),
            now: now(),
            receipt: None,
        };
        self.ledger.execute(order).await
    }

    /// The same without a signature: a node that has gone away.
    pub async fn serve_unsigned(&self, who: usize, asset: &Asset, tokens: u64) -> B256 {
        self.serve_account(address(who), asset, tokens).await
    }

    /// The same for anybody's account.
    pub async fn serve_account(&self, payer: Address, asset: &Asset, tokens: u64) -> B256 {
        let request = self.next_request();
        let account = AccountId {
            payer,
            asset: asset.address,
        };
        let cost = usd(tokens * 1_000);
        let reserve = Command::Reserve(Reserve {
            reservation: request,
            account,
            key: B256::left_padding_from(payer.as_slice()),
            amount: cost,
            key_limit: None,
            lifetime_seconds: 600,
        });
        self.order(format!("reserve:{request}"), reserve, None)
            .await;
        let capture = Command::Capture {
            reservation: request,
            node: address(NODE),
            cost,
            split: self.split(),
        };
        let served = Served {
            domain_id: self.domain.place.domain_id,
            request,
            account,
            key: B256::left_padding_from(payer.as_slice()),
            node: address(NODE),
            model: ModelId::of("model"),
            price_version: 1,
            tokens: TokenCounts {
                input: tokens,
                cached: 0,
                output: 0,
            },
            cost,
            time: now(),
        };
        self.order(format!("capture:{request}"), capture, Some(served))
            .await;
        request
    }

    async fn sign(&self, request: B256) {
        let stored = self.ledger.receipt(request).await.unwrap().unwrap();
        let digest = stored.receipt.digest(&self.domain.signing_domain());
        for (by, who) in [(SignedBy::Node, NODE), (SignedBy::Gateway, GATEWAY)] {
            let signature = key(who).signer().sign_hash_sync(&digest).unwrap();
            self.ledger
                .sign_receipt(request, by, signature.as_bytes())
                .await
                .unwrap();
        }
    }

    /// What the ledger holds for a payer.
    pub async fn held(&self, who: usize, asset: &Asset) -> u64 {
        let account = AccountId {
            payer: address(who),
            asset: asset.address,
        };
        self.ledger.account(account).await.unwrap().held.get()
    }

    /// What the escrow's books hold for a payer.
    pub async fn on_chain(&self, who: usize, asset: &Asset) -> u64 {
        payer::account(&self.domain, address(who), asset.address)
            .await
            .unwrap()
            .balance
    }
}
