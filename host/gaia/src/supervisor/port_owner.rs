//! Who listens on a port, from `/proc`: the answer to "port taken".

use std::fs;
use std::path::Path;

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// The state column of a listening socket.
const LISTEN: &str = "0A";

/// The process that listens on `port`. None where the system does not say: another user's
/// process, or no `/proc`.
pub fn find(port: u16) -> Option<PortOwner> {
    find_in(Path::new("/proc"), port)
}

fn find_in(proc: &Path, port: u16) -> Option<PortOwner> {
    let inodes: Vec<String> = ["net/tcp", "net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(proc.join(table)).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir(proc).ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid: &u32| has_link(&proc.join(pid.to_string()).join("fd"), &links))
        .map(|pid| PortOwner {
            pid,
            name: name_of(&proc.join(pid.to_string())),
        })
}

/// The inodes of the sockets that listen on `port` in a table of `/proc/net/tcp`'s form.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let ending = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let listens = columns.get(1)?.ends_with(&ending) && *columns.get(3)? == LISTEN;
            listens.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
        })
        .collect()
}

fn has_link(folder: &Path, links: &[String]) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
}

fn name_of(process: &Path) -> String {
    fs::read_to_string(process.join("comm"))
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0
   1: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0
";

    #[test]
    fn only_listening_sockets_on_that_port_count() {
        let check = |port, expected: &[&str]| assert_eq!(listening_inodes(TABLE, port), expected);
        check(8080, &["4242"]);
        check(8081, &["4244"]);
        check(8082, &[]);
    }

    #[test]
    fn garbage_is_no_panic() {
        assert!(listening_inodes("", 1).is_empty());
        assert!(listening_inodes("a\nb c d\n", 1).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn finds_this_very_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let owner = find(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(owner.pid, std::process::id());
        assert!(!owner.name.is_empty());
    }
}
