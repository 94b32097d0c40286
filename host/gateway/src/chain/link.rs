//! The way to a domain's chain: found at the start, or later, where the chain was out of reach then.

use gaia_chain::{ChainError, Domain, Place, Rpc, Settler, Wallet, Watcher, registry};
use gaia_keystore::NodeKey;
use gaia_ledger::PriceTable;
use gaia_ledger_store::Ledger;

/// Why a chain cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It does not answer, or as another chain or domain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A receipt names a price table; what is not on the chain would answer no challenge.
    #[error(
        "the prices in domain.toml are not what the chain has as version {0}: gaia domain publish-prices puts them there, with the owner's key"
    )]
    Prices(u32),
}

impl ConnectError {
    /// Whether the chain is only out of reach, so that the next try may well succeed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Chain(ChainError::Rpc(error)) => {
                !matches!(error, gaia_chain::RpcError::Nonsense { .. })
            }
            Self::Chain(_) | Self::Prices(_) => false,
        }
    }
}

/// Where the chain is, and what a gateway does there.
#[derive(Debug, Clone)]
pub struct Target {
    /// The way.
    pub rpc: Rpc,
    /// The domain.
    pub place: Place,
    /// What must be published there; without it, nothing is compared.
    pub prices: Option<PriceTable>,
    /// Settles, where this gateway is to do so: its key, with some ether for gas.
    pub settles: Option<NodeKey>,
    /// Blocks after which a deposit counts.
    pub confirmations: u64,
}

/// A chain that has answered once.
#[derive(Debug)]
pub(super) struct Link {
    pub domain: Domain,
    pub watcher: Watcher,
    pub settling: Option<(Settler, Wallet)>,
}

impl Link {
    /// Asks the chain who it is, and whether it knows the domain as this gateway does.
    pub(super) async fn find(target: &Target, ledger: &Ledger) -> Result<Self, ConnectError> {
        let domain = Domain::read(target.rpc.clone(), target.place).await?;
        if let Some(table) = &target.prices
            && registry::price_table(&domain, table.version()).await? != table.hash()
        {
            return Err(ConnectError::Prices(table.version()));
        }
        let settling = match &target.settles {
            None => None,
            Some(key) => {
                let chain_id = target.place.chain_id;
                let wallet = Wallet::open(target.rpc.clone(), chain_id, key.clone()).await?;
                let settler = Settler::new(domain.clone(), ledger.clone(), wallet.clone());
                Some((settler, wallet))
            }
        };
        let watcher = Watcher::new(domain.clone(), ledger.clone(), target.confirmations);
        Ok(Self {
            domain,
            watcher,
            settling,
        })
    }
}
