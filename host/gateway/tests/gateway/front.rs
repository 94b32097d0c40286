//! HAProxy before the gateways of a domain, as `deploy/haproxy` has it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The file that operators are given: what it says of every proxy holds here.
const FILE: &str = include_str!("../../../../deploy/haproxy/haproxy.cfg");

/// Its section `defaults`, but for the log.
fn defaults() -> String {
    let (_, rest) = FILE.split_once("\ndefaults\n").unwrap();
    let (defaults, _) = rest.split_once("\nfrontend ").unwrap();
    let lines = defaults.lines().filter(|line| !line.contains("log"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The process. It ends with this value.
pub struct Front {
    child: Child,
    pub at: SocketAddr,
}

impl Front {
    /// Starts it in `folder` before these gateways, and waits until it listens.
    pub fn start(folder: &Path, gateways: &[SocketAddr]) -> Self {
        let at = free_port();
        let mut text = format!("global\n    maxconn 8000\ndefaults\n{}", defaults());
        text.push_str("    option httpchk GET /health\n    timeout check 5s\n");
        text.push_str(&format!("frontend domain\n    bind {at}\n"));
        text.push_str("    default_backend gateways\nbackend gateways\n");
        for (number, gateway) in gateways.iter().enumerate() {
            text.push_str(&format!(
                "    server gateway{number} {gateway} check inter 500ms fall 2 rise 1\n"
            ));
        }
        let file = folder.join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let log = fs::File::create(folder.join("haproxy.log")).unwrap();
        let child = Command::new("/usr/sbin/haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("HAProxy is not installed: run scripts/setup.sh test");
        let front = Self { child, at };
        let started = Instant::now();
        while TcpStream::connect(at).is_err() {
            let log = || fs::read_to_string(folder.join("haproxy.log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        front
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listens at.
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}
