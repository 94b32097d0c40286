//! The receipts that the node has signed, as far as the next one is held to them: on the disk before the signature
//! leaves the node.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use gaia_tunnel::messages::ReceiptAsked;
use serde::{Deserialize, Serialize};

/// Receipts that may overtake one another on their way: what a node has earned may be told so much out of order.
pub(crate) const REORDERED_MAX: usize = 64;

/// Requests whose receipts are remembered, so that none gets a second one.
pub(crate) const REMEMBERED_MAX: usize = 1_024;

/// The longest file, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why the book cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// It cannot be read.
    #[error("failed to read the book of receipts `{path}`: mend or remove it")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("failed to write the book of receipts `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a receipt does not follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Another receipt for the same request.
    #[error("another receipt for this request was signed before")]
    Second,
    /// It takes back what was earned.
    #[error("the receipt says the node has earned {said} in all, {least} were signed before")]
    TakesBack {
        /// What it says.
        said: u64,
        /// What it must at least say.
        least: u64,
    },
}

/// What was signed in one asset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Earned {
    /// The sums of the latest receipts, the oldest first.
    latest: VecDeque<u64>,
    /// The receipt with the highest: with the node's signature it proves what was earned.
    best: Option<ReceiptAsked>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Pages {
    assets: BTreeMap<Address, Earned>,
    /// Requests and the digests of their receipts.
    signed: VecDeque<(B256, B256)>,
}

/// The book of one domain.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
    pages: Pages,
}

impl Book {
    /// Opens the book at `path`; a new one where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, BookError> {
        let failed = |source| BookError::Read {
            path: path.to_owned(),
            source,
        };
        let pages = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Pages::default(),
            Err(error) => return Err(failed(error)),
            Ok(facts) if facts.len() > FILE_BYTES_MAX => {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => {
                let text = fs::read(path).map_err(failed)?;
                serde_json::from_slice(&text).map_err(|error| failed(error.into()))?
            }
        };
        Ok(Self {
            path: path.to_owned(),
            pages,
        })
    }

    /// Whether a receipt with this `digest` may be signed.
    pub(crate) fn check(&self, asked: &ReceiptAsked, digest: B256) -> Result<(), Unfit> {
        let receipt = &asked.receipt;
        let request = receipt.request_id;
        if let Some((_, before)) = self.pages.signed.iter().find(|(of, _)| *of == request) {
            return match *before == digest {
                true => Ok(()),
                false => Err(Unfit::Second),
            };
        }
        let said = receipt.node_cumulative.get();
        let earned = self.pages.assets.get(&receipt.asset);
        let least = earned.map_or(0, Earned::least);
        if said < least {
            return Err(Unfit::TakesBack { said, least });
        }
        Ok(())
    }

    /// Notes it, on the disk.
    pub(crate) fn note(&mut self, asked: &ReceiptAsked, digest: B256) -> Result<(), BookError> {
        let request = asked.receipt.request_id;
        if self.pages.signed.iter().any(|(of, _)| *of == request) {
            return Ok(());
        }
        let mut pages = self.pages.clone();
        pages.signed.push_back((request, digest));
        if pages.signed.len() > REMEMBERED_MAX {
            pages.signed.pop_front();
        }
        pages
            .assets
            .entry(asked.receipt.asset)
            .or_default()
            .add(asked);
        self.write(&pages).map_err(|source| BookError::Write {
            path: self.path.clone(),
            source,
        })?;
        self.pages = pages;
        Ok(())
    }

    fn write(&self, pages: &Pages) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)?;
        serde_json::to_writer(&mut file, pages)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }
}

impl Earned {
    /// The least that the next receipt must say: the highest sum that so many receipts have come after that none can
    /// still be on its way.
    fn least(&self) -> u64 {
        let settled = self.latest.len().saturating_sub(REORDERED_MAX);
        self.latest.iter().take(settled).copied().max().unwrap_or(0)
    }

    fn add(&mut self, asked: &ReceiptAsked) {
        let sum = asked.receipt.node_cumulative.get();
        let highest = |best: &ReceiptAsked| best.receipt.node_cumulative.get() <= sum;
        if self.best.as_ref().is_none_or(highest) {
            self.best = Some(*asked);
        }
        self.latest.push_back(sum);
        if self.latest.len() > REORDERED_MAX + 1
            && let Some(oldest) = self.latest.pop_front()
            && let Some(next) = self.latest.front_mut()
        {
            *next = oldest.max(*next);
        }
    }
}
