//! Processes that follow or settle, to be killed.

use crate::chain::{GATEWAY, key};
use crate::proxy::Proxy;
use gaia_chain::{Domain, Place, Rpc, Settler, Wallet, Watcher};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Says what a process is to do.
const WORK: &str = "GAIA_CHAIN_TEST_WORK";

#[derive(Serialize, Deserialize)]
pub struct Work {
    url: String,
    place: Place,
    ledger: PathBuf,
    what: What,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum What {
    Follow,
    Settle,
}

impl Work {
    pub fn new(proxy: &Proxy, place: Place, ledger: &Path, what: What) -> Self {
        Self {
            url: proxy.url.clone(),
            place,
            ledger: ledger.to_owned(),
            what,
        }
    }

    pub fn start(&self) -> Child {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "worker", "--test-threads=1"]);
        process.env(WORK, serde_json::to_string(self).unwrap());
        process
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        process.spawn().unwrap()
    }

    async fn carry_out(self) {
        let rpc = Rpc::new(&self.url);
        let domain = Domain::read(rpc.clone(), self.place).await.unwrap();
        let ledger = crate::scene::open(&self.ledger);
        match self.what {
            What::Follow => {
                let watcher = Watcher::new(domain, ledger, 0);
                while watcher.step().await.unwrap().is_behind {}
            }
            What::Settle => {
                let wallet = Wallet::open(rpc, self.place.chain_id, key(GATEWAY))
                    .await
                    .unwrap();
                Settler::new(domain, ledger, wallet).settle().await.unwrap();
            }
        }
    }
}

pub fn work_if_asked() {
    let Ok(work) = std::env::var(WORK) else {
        return;
    };
    let work: Work = serde_json::from_str(&work).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work.carry_out());
}
