//! Names into addresses.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// Addresses of one name that are looked at; the rest is not used.
const ADDRESSES_MAX: usize = 32;

/// Addresses, soon.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Who knows addresses: the system, or a test.
pub trait Resolve: Send + Sync {
    /// All addresses of the host called `name`.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// The system's resolver.
pub(crate) struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found
                .take(ADDRESSES_MAX)
                .map(|address| address.ip())
                .collect())
        })
    }
}
