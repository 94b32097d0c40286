//! The safety list's lines on going out, one test each, against servers on loopback.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaia_egress::{Ask, CertificateDer, Egress, Got, HeaderText, Limits, Method, Refusal};
use gaia_outbound::{NotAllowed, Target};
use support::{Answers, Reply, Server, get, listed, tools};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

async fn fetch(egress: &Egress, ask: Ask) -> Result<Got, Refusal> {
    egress.fetch(&egress.turn(), ask).await
}

fn text(got: &Got) -> &str {
    std::str::from_utf8(&got.body).unwrap()
}

/// What a server does, by name.
type Case = (&'static str, fn() -> Reply);

/// All that an error says, to whoever prints it.
fn chain(error: &Refusal) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause:?} {cause}"));
        source = cause.source();
    }
    text
}

async fn echo() -> Server {
    Server::start(|request| Reply::of("200 OK", "content-type: text/plain\r\n", request)).await
}

#[tokio::test]
async fn a_listed_server_is_asked_and_answers() {
    let server = echo().await;
    let egress = listed(&[&server.origin()], Limits::default());
    let mut ask = Ask::new(Method::POST, server.url("/v1/x?y=%20").parse().unwrap());
    ask.header("X-Key", HeaderText::plain("a ").and_plain("b"));
    ask.json("{\"city\":\"Bonn\"}".to_owned());
    let got = fetch(&egress, ask).await.unwrap();
    assert_eq!(
        (got.status, got.content_type.as_deref()),
        (200, Some("text/plain"))
    );
    let request = text(&got);
    assert!(
        request.starts_with("POST /v1/x?y=%20 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\n{\"city\":\"Bonn\"}"),
        "{request}"
    );
    for line in [
        "x-key: a b",
        "content-type: application/json",
        "accept-encoding: identity",
        &format!("host: {}", server.address),
    ] {
        assert!(
            request.contains(&format!("\r\n{line}\r\n")),
            "{line} in {request}"
        );
    }
}

/// Each notation as an origin that the table of tools names, and as what DNS says of a good name.
#[tokio::test]
async fn private_addresses_are_refused_in_every_notation() {
    let server = echo().await;
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "0x7f.1",
        "0",
        "127.0.0.1.",
        "LOCALHOST",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::1%25lo]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "255.255.255.255",
        "[ff02::1]",
        "168.63.129.16",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "good.example@127.0.0.1",
        "127.0.0.1\\.good.example",
        "127.0.0.1%2e",
        "127.0.0.1 ",
    ] {
        let url = format!("https://{host}:{port}/");
        // Refused as written, or as the address that it is.
        if url.parse::<Target>().is_ok() {
            let refusal = fetch(&tools(&[&url]), get(&url)).await.unwrap_err();
            let at = matches!(refusal, Refusal::NotAllowed(NotAllowed::Address { .. }));
            assert!(at, "{host}: {refusal}");
        }
    }
    let url = format!("https://good.example:{port}/");
    for answer in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["10.0.0.1"],
        &["192.168.0.1"],
        &["172.31.0.1"],
        &["100.100.100.200"],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
        &["fe80::1"],
        &["64:ff9b::a00:1"],
        &["2002:a00:1::"],
        &["0.0.0.0"],
        &["::"],
        &["224.0.0.1"],
        &["::127.0.0.1"],
        &["93.184.216.34", "127.0.0.1"],
        &["2606:4700::1111", "::1"],
    ] {
        let egress = tools(&[&url]).resolving(Answers::new(&[answer]));
        let refusal = fetch(&egress, get(&url)).await.unwrap_err();
        let at = matches!(refusal, Refusal::NotAllowed(NotAllowed::Address { .. }));
        assert!(at, "{answer:?}: {refusal}");
    }
    assert_eq!(server.seen(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_pinned() {
    let first = Server::start(|request| match request.starts_with("GET /first ") {
        true => Reply::of("302 Found", "location: /second\r\n", ""),
        false => Reply::of("200 OK", "", "from the first"),
    })
    .await;
    let port = first.address.port();
    let second = Server::start_at(&format!("127.0.0.2:{port}"), None, |_| {
        Reply::of("200 OK", "", "from the second")
    })
    .await;
    let origin = format!("http://changing.example:{port}");
    let answers = Answers::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let egress = listed(&[&origin], Limits::default()).resolving(answers.clone());
    let got = fetch(&egress, get(&format!("{origin}/first")))
        .await
        .unwrap();
    assert_eq!(text(&got), "from the first");
    assert_eq!(answers.asked.load(Ordering::SeqCst), 1);
    assert_eq!((first.seen(), second.seen()), (2, 0));
    let requests = first.requests();
    assert!(requests[1].contains(&format!("\r\nhost: changing.example:{port}\r\n")));
    // The next call asks anew, and is judged anew.
    let got = fetch(&egress, get(&format!("{origin}/third")))
        .await
        .unwrap();
    assert_eq!(text(&got), "from the second");
}

#[tokio::test]
async fn no_redirect_to_another_origin() {
    let other = echo().await;
    let elsewhere = [
        other.url("/"),
        format!("//127.0.0.1:{}/", other.address.port()),
        "https://evil.example/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "HTTP://evil.example/".to_owned(),
        "ftp://evil.example/".to_owned(),
    ];
    for location in elsewhere {
        let header = format!("location: {location}\r\n");
        let server = Server::start(move |_| Reply::of("307 Temporary Redirect", &header, "")).await;
        // Even where the other place may be reached by itself.
        let egress = listed(&[&server.origin(), &other.origin()], Limits::default());
        let refusal = fetch(&egress, get(&server.url("/"))).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::OtherOrigin { .. }),
            "{location}: {refusal}"
        );
    }
    assert_eq!(other.seen(), 0);
}

#[tokio::test]
async fn redirects_within_the_origin_have_an_end() {
    let server = Server::start(|_| Reply::of("301 Moved", "location: /again\r\n", "")).await;
    let egress = listed(&[&server.origin()], Limits::default());
    let refusal = fetch(&egress, get(&server.url("/"))).await.unwrap_err();
    assert!(
        matches!(refusal, Refusal::TooManyRedirects { max: 3, .. }),
        "{refusal}"
    );
    assert_eq!(server.seen(), 4);
}

#[tokio::test]
async fn a_body_goes_on_only_where_the_server_asks_for_it_again() {
    for (status, expected) in [
        ("303 See Other", "GET /to"),
        ("302 Found", "GET /to"),
        ("308 Permanent", "POST /to"),
    ] {
        let server = Server::start(move |request| match request.starts_with("POST /from") {
            true => Reply::of(status, "location: to\r\n", ""),
            false => Reply::of("200 OK", "", ""),
        })
        .await;
        let egress = listed(&[&server.origin()], Limits::default());
        let mut ask = Ask::new(Method::POST, server.url("/from").parse().unwrap());
        ask.json("{\"a\":1}".to_owned());
        fetch(&egress, ask).await.unwrap();
        let second = server.requests().remove(1);
        assert!(second.starts_with(expected), "{status}: {second}");
        assert_eq!(
            second.ends_with("{\"a\":1}"),
            expected.starts_with("POST"),
            "{status}: {second}"
        );
    }
}

#[tokio::test]
async fn http_only_if_listed() {
    let server = echo().await;
    let refusal = fetch(&tools(&[&server.origin()]), get(&server.url("/")))
        .await
        .unwrap_err();
    assert!(
        matches!(refusal, Refusal::NotAllowed(NotAllowed::PlainHttp(_))),
        "{refusal}"
    );
    assert_eq!(server.seen(), 0);
    let egress = listed(&[&server.origin()], Limits::default());
    assert_eq!(
        fetch(&egress, get(&server.url("/"))).await.unwrap().status,
        200
    );
}

/// What a caller may say beside the target changes nothing about who is asked.
#[tokio::test]
async fn a_request_cannot_choose_the_target() {
    let server = echo().await;
    let egress = listed(&[&server.origin()], Limits::default());
    let mut ask = get(&server.url("/x"));
    for (name, value) in [
        ("Host", "evil.example"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("content-length", "7"),
    ] {
        ask.header(name, HeaderText::plain(value));
    }
    let got = fetch(&egress, ask).await.unwrap();
    let request = text(&got);
    assert!(
        request.contains(&format!("host: {}\r\n", server.address)),
        "{request}"
    );
    for word in [
        "evil",
        "h2c",
        "chunked",
        "content-length: 7",
        "connection: upgrade",
    ] {
        assert!(!request.contains(word), "{word} in {request}");
    }
    for url in [
        "http://127.0.0.1:1/",
        "https://evil.example/",
        &format!("http://localhost:{}/", server.address.port()),
    ] {
        let refusal = fetch(&egress, get(url)).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::NotAllowed(NotAllowed::Origin(_))),
            "{url}: {refusal}"
        );
    }
    let mut ask = get(&server.url("/x"));
    ask.header("x-key", HeaderText::plain("a\r\nhost: evil.example"));
    let refusal = fetch(&egress, ask).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Header(_)), "{refusal}");
}

/// Collects all that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_in_no_log_error_or_reply() {
    const SECRET: &str = "s3cret-\"4711\"/=";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = Server::start(|request| {
        let key = request
            .lines()
            .find_map(|line| line.strip_prefix("x-key: "))
            .unwrap()
            .to_owned();
        let path = request.split(' ').nth(1).unwrap();
        match path {
            "/echo" => Reply::of(
                "401 No",
                &format!("content-type: {key}\r\n"),
                &format!("bad key {key}, {key}"),
            ),
            "/away" => Reply::of("302 Go", "location: https://s3cret-.example/\r\n", ""),
            "/garbage" => Reply::Say(format!("{key}\r\n\r\n")),
            "/long" => Reply::of("200 OK", "", &key.repeat(100)),
            _ => Reply::Silence,
        }
    })
    .await;
    let limits = Limits {
        reply_bytes_max: 500,
        time_max: Duration::from_millis(500),
        ..Limits::default()
    };
    let egress = listed(&[&server.origin(), "http://127.0.0.1:1"], limits);
    let mut said = String::new();
    let paths = ["/echo", "/away", "/garbage", "/long", "/silence"].map(|path| server.url(path));
    for url in paths
        .iter()
        .map(String::as_str)
        .chain(["http://127.0.0.1:1/"])
    {
        let mut ask = get(url);
        ask.header("x-key", HeaderText::plain("k ").and_hidden(SECRET));
        said.push_str(&format!("{ask:?}\n"));
        match fetch(&egress, ask).await {
            Ok(got) => {
                assert_eq!(text(&got), "bad key k ****, k ****");
                said.push_str(&format!("{got:?} {}\n", text(&got)));
            }
            Err(refusal) => said.push_str(&format!("{}\n", chain(&refusal))),
        }
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.contains(SECRET)),
        "the server gets it"
    );
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("not fetched"), "{logged}");
    for text in [&said, &logged] {
        assert!(!text.contains("4711"), "{text}");
    }
}

#[tokio::test]
async fn a_reply_that_is_too_long_is_refused() {
    let head = "HTTP/1.1 200 OK\r\n";
    let limits = Limits {
        reply_bytes_max: 1000,
        ..Limits::default()
    };
    let replies: [Case; 4] = [
        ("one byte too many", || {
            Reply::of("200 OK", "", &"x".repeat(1001))
        }),
        ("without end", || {
            Reply::Flood("HTTP/1.1 200 OK\r\n\r\n".to_owned())
        }),
        ("an announcement", || {
            Reply::Drip("HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n".to_owned())
        }),
        ("chunks", || {
            Reply::Say(format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
                format!("64\r\n{}\r\n", "x".repeat(100)).repeat(11)
            ))
        }),
    ];
    for (name, reply) in replies {
        let server = Server::start(move |_| reply()).await;
        let egress = listed(&[&server.origin()], limits.clone());
        let refusal = fetch(&egress, get(&server.url("/"))).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::TooLong { max: 1000 }),
            "{name}: {refusal}"
        );
    }
    let server = Server::start(|_| Reply::of("200 OK", "", &"x".repeat(1000))).await;
    let egress = listed(&[&server.origin()], limits.clone());
    assert_eq!(
        fetch(&egress, get(&server.url("/")))
            .await
            .unwrap()
            .body
            .len(),
        1000
    );
    // A call may ask for less, not for more.
    for (asked, max) in [(10, 10), (10_000, 1000)] {
        let server = Server::start(|_| Reply::of("200 OK", "", &"x".repeat(1001))).await;
        let egress = listed(&[&server.origin()], limits.clone());
        let mut ask = get(&server.url("/"));
        ask.limit(Duration::from_secs(20), asked);
        let refusal = fetch(&egress, ask).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::TooLong { max: got } if got == max),
            "{refusal}"
        );
    }
    let long_head = format!("{head}x: {}\r\n\r\n", "y".repeat(512 << 10));
    let server = Server::start(move |_| Reply::Say(long_head.clone())).await;
    let egress = listed(&[&server.origin()], limits);
    let refusal = fetch(&egress, get(&server.url("/"))).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Http { .. }), "{refusal}");
}

#[tokio::test]
async fn a_reply_that_takes_too_long_is_refused() {
    let limits = Limits {
        time_max: Duration::from_millis(200),
        ..Limits::default()
    };
    let replies: [Case; 3] = [
        ("silence", || Reply::Silence),
        ("half a head", || {
            Reply::Drip("HTTP/1.1 200 OK\r\nx: ".to_owned())
        }),
        ("a byte now and then", || {
            Reply::Drip("HTTP/1.1 200 OK\r\n\r\n".to_owned())
        }),
    ];
    for (name, reply) in replies {
        let server = Server::start(move |_| reply()).await;
        let egress = listed(&[&server.origin()], limits.clone());
        let refusal = fetch(&egress, get(&server.url("/"))).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::TooSlow { max } if max == limits.time_max),
            "{name}: {refusal}"
        );
    }
}

#[tokio::test]
async fn calls_at_once_have_a_maximum() {
    let server = Server::start(|_| Reply::Silence).await;
    let limits = Limits {
        running_max: 1,
        time_max: Duration::from_millis(300),
        ..Limits::default()
    };
    let egress = Arc::new(listed(&[&server.origin()], limits));
    let ask = get(&server.url("/"));
    let (first, second) = tokio::join!(fetch(&egress, ask.clone()), fetch(&egress, ask.clone()));
    assert!(matches!(first, Err(Refusal::TooSlow { .. })), "{first:?}");
    assert!(
        matches!(second, Err(Refusal::Busy { max: 1 })),
        "{second:?}"
    );
    // The place is free again.
    let third = fetch(&egress, ask).await;
    assert!(matches!(third, Err(Refusal::TooSlow { .. })), "{third:?}");
}

#[tokio::test]
async fn calls_of_a_turn_have_a_maximum() {
    let server = echo().await;
    let egress = listed(&[&server.origin()], Limits::default());
    let turn = egress.turn();
    for _ in 0..16 {
        egress.fetch(&turn, get(&server.url("/"))).await.unwrap();
    }
    let refusal = egress
        .fetch(&turn, get(&server.url("/")))
        .await
        .unwrap_err();
    assert!(
        matches!(refusal, Refusal::TurnSpent { max: 16 }),
        "{refusal}"
    );
    assert_eq!(server.seen(), 16);
    assert!(
        fetch(&egress, get(&server.url("/"))).await.is_ok(),
        "another turn has its own"
    );
}

#[tokio::test]
async fn what_is_broken_is_said_to_be() {
    let replies: [Case; 3] = [
        ("cut", || {
            Reply::Say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx".to_owned())
        }),
        ("no HTTP", || Reply::Say("SSH-2.0-x\r\n\r\n".to_owned())),
        ("nothing", || Reply::Say(String::new())),
    ];
    for (name, reply) in replies {
        let server = Server::start(move |_| reply()).await;
        let egress = listed(&[&server.origin()], Limits::default());
        let refusal = fetch(&egress, get(&server.url("/"))).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Http { .. }), "{name}: {refusal}");
    }
    let server = Server::start(|_| Reply::of("200 OK", "content-encoding: gzip\r\n", "x")).await;
    let egress = listed(&[&server.origin()], Limits::default());
    let refusal = fetch(&egress, get(&server.url("/"))).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Compressed(_)), "{refusal}");
    let egress = tools(&["https://nobody.example"]).resolving(Answers::new(&[]));
    let refusal = fetch(&egress, get("https://nobody.example/"))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Resolve { .. }), "{refusal}");
}

/// The certificate of the ingress's tests, for `localhost`.
fn tls_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../ingress/tests/tls")
        .join(name)
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_file(tls_file("certificate.pem")).unwrap()
}

#[tokio::test]
async fn tls_asks_for_the_name_whatever_the_address() {
    let key = PrivateKeyDer::from_pem_file(tls_file("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start_at("127.0.0.1:0", Some(acceptor), |_| {
        Reply::of("200 OK", "", "sealed")
    })
    .await;
    let port = server.address.port();
    let (good, other) = (
        format!("https://localhost:{port}"),
        format!("https://other.example:{port}"),
    );
    let egress =
        || listed(&[&good, &other], Limits::default()).resolving(Answers::new(&[&["127.0.0.1"]]));
    let trusting = egress().trusting(vec![certificate()]);
    let got = fetch(&trusting, get(&format!("{good}/"))).await.unwrap();
    assert_eq!(text(&got), "sealed");
    let refusal = fetch(&trusting, get(&format!("{other}/")))
        .await
        .unwrap_err();
    assert!(
        chain(&refusal).contains("NotValidForName"),
        "{}",
        chain(&refusal)
    );
    let refusal = fetch(&egress(), get(&format!("{good}/")))
        .await
        .unwrap_err();
    assert!(
        matches!(refusal, Refusal::Tls { .. }),
        "a stranger's certificate: {refusal}"
    );
    assert_eq!(server.requests().len(), 1);
}
