//! A PostgreSQL server that a test starts for itself, as Debian installs it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A PostgreSQL server of this test, in a folder of its own, on a Unix socket there.
pub struct Postgres {
    folder: tempfile::TempDir,
    settings: Vec<String>,
    server: Child,
}

impl Postgres {
    pub fn start() -> Self {
        Self::set_up(|_| vec!["listen_addresses=".to_owned()])
    }

    /// The same, behind TLS at this port of localhost, and there without TLS for nobody.
    pub fn with_tls(certificate: &str, key: &str, port: u16) -> Self {
        Self::set_up(|folder| {
            let (own_certificate, own_key) =
                (folder.join("certificate.pem"), folder.join("key.pem"));
            fs::copy(certificate, &own_certificate).unwrap();
            fs::copy(key, &own_key).unwrap();
            fs::set_permissions(&own_key, fs::Permissions::from_mode(0o600)).unwrap();
            own(&own_key);
            let rules = folder.join("data/pg_hba.conf");
            fs::write(
                &rules,
                "local all all trust\nhostssl all all 127.0.0.1/32 trust\n",
            )
            .unwrap();
            vec![
                "listen_addresses=127.0.0.1".to_owned(),
                format!("port={port}"),
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", own_certificate.display()),
                format!("ssl_key_file={}", own_key.display()),
            ]
        })
    }

    fn set_up(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("gaia-pg")
            .tempdir()
            .unwrap();
        own(folder.path());
        let data = folder.path().join("data");
        let mut initdb = program("initdb");
        initdb.args([
            "--auth=trust",
            "--username=gaia",
            "--no-sync",
            "--encoding=UTF8",
        ]);
        let done = initdb
            .arg("--pgdata")
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(done.unwrap().success(), "initdb failed");
        let settings = settings(folder.path());
        let server = serve(folder.path(), &settings);
        Self {
            folder,
            settings,
            server,
        }
    }

    /// The URL of one of its databases; `postgres` is there from the start.
    pub fn url(&self, database: &str) -> String {
        url(self.folder.path(), database, &self.settings)
    }

    /// Kills it, all of its processes with it, and starts it again on the same data.
    pub fn kill_and_start(&mut self) {
        self.stop();
        self.server = serve(self.folder.path(), &self.settings);
    }

    /// SIGQUIT: no checkpoint, no farewell; the next start recovers as after a crash.
    fn stop(&mut self) {
        let pid = self.server.id().to_string();
        Command::new("kill").args(["-QUIT", &pid]).status().unwrap();
        self.server.wait().unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a database of the server that `url` leads to, and gives its URL.
pub fn new_database(url: &str, name: &str) -> String {
    let mut admin = postgres::Client::connect(url, postgres::NoTls).unwrap();
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn url(folder: &Path, database: &str, settings: &[String]) -> String {
    let host = folder.display().to_string().replace('/', "%2F");
    // The socket's file is named after the port.
    let mut ports = settings.iter().filter_map(|it| it.strip_prefix("port="));
    let port = ports.next().unwrap_or("5432");
    format!("postgres://gaia@{host}:{port}/{database}")
}

fn serve(folder: &Path, settings: &[String]) -> Child {
    let mut postgres = program("postgres");
    postgres.arg("-D").arg(folder.join("data"));
    postgres
        .args(["-c", "max_connections=400", "-k"])
        .arg(folder);
    for setting in settings {
        postgres.args(["-c", setting]);
    }
    let log = fs::File::create(folder.join("log")).unwrap();
    let server = postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let url = url(folder, "postgres", settings);
    let started = Instant::now();
    while postgres::Client::connect(&url, postgres::NoTls).is_err() {
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "PostgreSQL does not start: {}",
            log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

/// A program of the newest PostgreSQL that is installed, as a user that it accepts.
fn program(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin").join(name))
        .collect();
    found.retain(|path| path.exists());
    found.sort();
    let path = found
        .pop()
        .expect("no PostgreSQL server is installed: run scripts/setup.sh test");
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            "--",
        ])
        .arg(path);
    command
}

/// Hands a file to the user that PostgreSQL runs as; it does not run as root.
fn own(path: &Path) {
    if is_root() {
        let chown = Command::new("chown").arg("postgres").arg(path).status();
        assert!(
            chown.unwrap().success(),
            "no user `postgres`: run scripts/setup.sh test"
        );
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    id.trim_ascii() == b"0"
}
