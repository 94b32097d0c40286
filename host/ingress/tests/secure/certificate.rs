//! Which certificate is shown, and which version of HTTP is agreed on.

use std::fs;
use std::time::Duration;

use gaia_ingress::{Config, Ingress, TlsFiles};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::node::{KEY, Node, config, pem, soon};
use crate::support::rest;

#[tokio::test]
async fn both_versions_are_offered_and_the_newer_preferred() {
    let node = Node::start(config()).await;
    for (offered, agreed) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["h2"][..], Some("h2")),
        (&["http/1.1"][..], Some("http/1.1")),
        (&[][..], None),
    ] {
        let stream = node.shake(offered).await;
        let found = stream.get_ref().1.alpn_protocol();
        assert_eq!(found, agreed.map(str::as_bytes), "{offered:?}");
    }
}

#[tokio::test]
async fn a_client_that_names_no_version_speaks_http_1() {
    let node = Node::start(config()).await;
    for offered in [&["http/1.1"][..], &[][..]] {
        let mut stream = node.shake(offered).await;
        let request = format!(
            "GET /v1/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(rest(stream).await.status, 200);
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("certificate.pem"),
        key: folder.path().join("key.pem"),
    };
    let put = |certificate: &str, key: &str| {
        // The key first: a certificate that does not belong to it is not used.
        fs::copy(pem(key), &files.key).unwrap();
        fs::copy(pem(certificate), &files.certificate).unwrap();
    };
    put("certificate.pem", "key.pem");
    let mut config = config();
    config.tls = Some(files.clone());
    config.limits.tls_look_interval = Duration::from_millis(20);
    let node = Node::start(config).await;
    let shown = async || {
        let stream = node.shake(&[]).await;
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        shown[0].clone().into_owned()
    };
    let of = |name| CertificateDer::from_pem_file(pem(name)).unwrap();
    assert_eq!(shown().await, of("certificate.pem"));
    put("other-certificate.pem", "other-key.pem");
    soon(async {
        while shown().await != of("other-certificate.pem") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn files_that_are_no_certificate_are_named() {
    for (certificate, named) in [
        ("missing.pem", "missing.pem"),
        ("key.pem", "no certificate"),
        ("other-certificate.pem", "cannot be used"),
    ] {
        let config = Config {
            tls: Some(TlsFiles {
                certificate: pem(certificate),
                key: pem("key.pem"),
            }),
            ..config()
        };
        let error = Ingress::check(&config).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        let (_sender, watched) = watch::channel(None);
        let error = Ingress::bind(config, watched).await.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}
