//! Where the scenarios run: a fresh file, or a fresh database of a PostgreSQL that the test has started.

use gaia_ledger_store::{Ledger, Location};
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub type Scenario = fn(Place) -> Pin<Box<dyn Future<Output = ()>>>;

/// A database for one scenario.
#[derive(Debug, Clone)]
pub enum Place {
    File(PathBuf),
    Postgres(String),
}

impl Place {
    pub fn location(&self) -> Location {
        Location::parse(&self.text())
    }

    /// As the environment carries it to another process.
    pub fn text(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Postgres(url) => url.clone(),
        }
    }

    pub fn open(&self) -> Ledger {
        Ledger::open(self.location()).unwrap()
    }

    /// SQL behind the ledger's back.
    pub fn edit(&self, sql: &str) {
        match self {
            Self::File(path) => rusqlite::Connection::open(path)
                .unwrap()
                .execute_batch(sql)
                .unwrap(),
            Self::Postgres(url) => {
                let (url, sql) = (url.clone(), sql.to_owned());
                // The client blocks, which a thread of the runtime may not.
                let edited = std::thread::spawn(move || {
                    let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
                    client.batch_execute(&sql).unwrap();
                });
                edited.join().unwrap();
            }
        }
    }
}

/// A PostgreSQL server of this test, in a folder of its own, on a Unix socket there.
pub struct Postgres {
    folder: tempfile::TempDir,
    server: Child,
}

impl Postgres {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("gaia-pg")
            .tempdir()
            .unwrap();
        if is_root() {
            // PostgreSQL does not run as root.
            let chown = Command::new("chown")
                .arg("postgres")
                .arg(folder.path())
                .status();
            assert!(
                chown.unwrap().success(),
                "no user `postgres`: run scripts/setup.sh test"
            );
        }
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
        let server = serve(folder.path());
        Self { folder, server }
    }

    /// A new database, and its URL.
    pub fn database(&self, name: &str) -> Place {
        let mut admin = postgres::Client::connect(&self.url("postgres"), postgres::NoTls).unwrap();
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        Place::Postgres(self.url(name))
    }

    /// Kills it, all of its processes with it, and starts it again on the same data.
    pub fn kill_and_start(&mut self) {
        self.stop();
        self.server = serve(self.folder.path());
    }

    fn url(&self, database: &str) -> String {
        let host = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://gaia@{host}/{database}")
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

fn serve(folder: &Path) -> Child {
    let mut postgres = program("postgres");
    postgres.arg("-D").arg(folder.join("data"));
    postgres
        .args(["-c", "listen_addresses=", "-c", "max_connections=20", "-k"])
        .arg(folder);
    let log = fs::File::create(folder.join("log")).unwrap();
    let server = postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let url = format!(
        "postgres://gaia@{}/postgres",
        folder.display().to_string().replace('/', "%2F")
    );
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

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    id.trim_ascii() == b"0"
}
