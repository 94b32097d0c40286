//! How a PostgreSQL server is reached: to another machine only with TLS, unless the URL says otherwise.
//!
//! Of what libpq knows, two words of the URL's query hold here: `sslmode` (`disable`, or `require`, `verify-ca`,
//! `verify-full`, which are one: a certificate is always checked, its name too) and `sslrootcert`, a PEM file with the
//! authorities to believe instead of the public ones.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use gaia_authorities::{AuthoritiesError, public, with_file};
use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::SqlError;

/// Connects to a `postgres://` URL.
pub(super) fn connect(url: &str) -> Result<Client, SqlError> {
    let (mut config, route) = route(url)?;
    match route {
        Route::Plain => Ok(config.ssl_mode(SslMode::Disable).connect(NoTls)?),
        Route::Tls { authorities } => {
            let tls = MakeRustlsConnect::new(client_config(authorities.as_deref())?);
            Ok(config.ssl_mode(SslMode::Require).connect(tls)?)
        }
    }
}

/// What lies between this machine and the server.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Plain,
    Tls {
        /// The file with the authorities to believe; without it the public ones are.
        authorities: Option<PathBuf>,
    },
}

fn refused(words: impl Into<String>) -> SqlError {
    SqlError::Database(words.into())
}

fn route(url: &str) -> Result<(Config, Route), SqlError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut authorities, mut others) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => authorities = Some(decoded(value)?),
            _ => others.push(pair),
        }
    }
    let config = Config::from_str(&format!("{place}?{}", others.join("&")))?;
    let route = match mode {
        Some("disable") => Route::Plain,
        Some("require" | "verify-ca" | "verify-full") => Route::Tls { authorities },
        None if authorities.is_none() && is_here(&config) => Route::Plain,
        None => Route::Tls { authorities },
        Some(other) => {
            return Err(refused(format!(
                "`sslmode={other}` leaves open whether the connection is safe: say `require` or `disable`"
            )));
        }
    };
    Ok((config, route))
}

fn decoded(value: &str) -> Result<PathBuf, SqlError> {
    let text = percent_encoding::percent_decode_str(value).decode_utf8();
    let text = text.map_err(|_| refused("`sslrootcert` is no path"))?;
    Ok(PathBuf::from(text.as_ref()))
}

/// Whether the server stands on this machine.
fn is_here(config: &Config) -> bool {
    let numbered = config.get_hostaddrs().iter().all(|at| at.is_loopback());
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(is_loopback),
    });
    numbered && named
}

fn is_loopback(at: std::net::IpAddr) -> bool {
    at.is_loopback()
}

fn unusable(error: AuthoritiesError) -> SqlError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    refused(format!(
        "`sslrootcert`: {error}{}",
        cause.unwrap_or_default()
    ))
}

fn client_config(authorities: Option<&Path>) -> Result<ClientConfig, SqlError> {
    let roots = match authorities {
        Some(path) => with_file(RootCertStore::empty(), path).map_err(unusable)?,
        None => public(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route_of(url: &str) -> Route {
        route(url).unwrap().1
    }

    #[test]
    fn another_machine_is_reached_with_tls_unless_it_is_said() {
        let public = Route::Tls { authorities: None };
        for here in [
            "postgres://gaia@localhost/books",
            "postgres://gaia@127.0.0.1:5433/books",
            "postgres://gaia@%2Frun%2Fpostgresql/books",
            "postgres:///books",
            "postgres://gaia@db.example/books?sslmode=disable&connect_timeout=5",
        ] {
            assert_eq!(route_of(here), Route::Plain, "{here}");
        }
        for there in [
            "postgres://gaia:secret@db.example/books",
            "postgres://gaia@localhost,db.example/books",
            "postgres://gaia@10.0.0.1/books",
            "postgres://gaia@localhost/books?hostaddr=10.0.0.1",
            "postgres://gaia@localhost/books?sslmode=verify-full",
        ] {
            assert_eq!(route_of(there), public, "{there}");
        }
        let own = route_of("postgres://gaia@db.example/books?sslrootcert=%2Fetc%2Fgaia%2Fca.pem");
        let authorities = Some(PathBuf::from("/etc/gaia/ca.pem"));
        assert_eq!(own, Route::Tls { authorities });
    }

    #[test]
    fn what_leaves_safety_open_is_refused() {
        for mode in ["prefer", "allow", "maybe"] {
            let error = route(&format!("postgres://gaia@db.example/books?sslmode={mode}"));
            assert!(error.unwrap_err().to_string().contains("say `require`"));
        }
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let error = client_config(Some(&path)).unwrap_err().to_string();
        assert!(
            error.contains("ca.pem") && error.contains("failed to read"),
            "{error}"
        );
        std::fs::write(&path, "nothing").unwrap();
        let error = client_config(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("holds 0 certificates"), "{error}");
    }
}
