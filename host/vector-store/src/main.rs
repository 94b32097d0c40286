//! The store alone, as a process: `gaia-vector-store DIR [ADDRESS]`.
//!
//! For tests that kill it and for people who want Qdrant's API without a node. The key comes from
//! `GAIA_STORE_KEY`; without one only loopback addresses are served. Prints the address it listens
//! on, ends on SIGTERM and ctrl-C.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use gaia_vector_store::{ApiKey, Options, VectorStore};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut line = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                line = format!("{line}: {cause}");
                source = cause.source();
            }
            eprintln!("{line}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments
        .next()
        .ok_or("usage: gaia-vector-store DIR [ADDRESS:PORT]")?;
    let address: SocketAddr = arguments
        .next()
        .as_deref()
        .unwrap_or("127.0.0.1:6333")
        .parse()?;
    let key = std::env::var("GAIA_STORE_KEY")
        .ok()
        .filter(|key| !key.is_empty())
        .map(ApiKey::new);
    if key.is_none() && !address.ip().is_loopback() {
        return Err("an address other than loopback needs a key in GAIA_STORE_KEY".into());
    }
    let store =
        tokio::task::spawn_blocking(move || VectorStore::open(dir, Options::default())).await??;
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    store.serve(listener, key, stopped()).await?;
    Ok(())
}

async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminated) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    let _ = interrupted.await;
}
