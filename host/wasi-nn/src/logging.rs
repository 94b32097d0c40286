//! Where the plugin's and llama.cpp's messages go: the standard error of the `wasmedge` process.
//!
//! The level comes from `GAIA_NN_LOG` (`error`, `warn`, `info`, `debug`, `trace`, or a filter such as
//! `llama=debug`). Without it there are warnings, and a line about the memory for each model that comes or goes.

use std::io;
use std::sync::Once;

use gaia_engine::MEMORY_LOG;
use tracing_subscriber::EnvFilter;

/// Starts logging, once a process.
pub(crate) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let filter = EnvFilter::try_from_env("GAIA_NN_LOG")
            .unwrap_or_else(|_| EnvFilter::new(format!("warn,{MEMORY_LOG}=info")));
        // An error means that the process has a logger already, which then gets our messages.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(false)
            .try_init();
    });
}
