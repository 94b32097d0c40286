//! A PostgreSQL that is reached with TLS: whose certificate is good, and nobody else's.

use std::net::TcpListener;

use gaia_ledger_store::{Ledger, Location};

use crate::server::Postgres;

/// A certificate for localhost, and another's.
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ingress/tests/tls");

fn open(port: u16, query: &str) -> Result<Ledger, String> {
    let url = format!("postgres://gaia@localhost:{port}/postgres?{query}");
    Ledger::open(Location::parse(&url)).map_err(|error| {
        let source = std::error::Error::source(&error);
        format!(
            "{error}: {}",
            source.map(ToString::to_string).unwrap_or_default()
        )
    })
}

#[test]
fn only_a_server_whose_certificate_is_believed_gets_the_books() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let _server = Postgres::with_tls(
        &format!("{TLS}/certificate.pem"),
        &format!("{TLS}/key.pem"),
        port,
    );
    let refused = |query: &str, why: &str| {
        let error = open(port, query).err().unwrap();
        assert!(error.contains(why), "{query}: {error}");
    };
    refused("sslmode=disable", "no encryption");
    refused("sslmode=require", "certificate");
    refused(
        &format!("sslrootcert={TLS}/other-certificate.pem"),
        "certificate",
    );
    open(port, &format!("sslrootcert={TLS}/certificate.pem")).unwrap();
}
