//! The processes of a node and the memory that each takes, for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::{Mutex, PoisonError};

/// The name under which this process itself is listed.
const OWN: &str = "gaia";

/// The processes that there are.
#[derive(Debug)]
pub struct Processes(Mutex<BTreeMap<&'static str, u32>>);

impl Default for Processes {
    /// This process alone.
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::from([(OWN, std::process::id())])))
    }
}

impl Processes {
    /// The process called `name` is `pid` now; `None`: there is none.
    pub fn set(&self, name: &'static str, pid: Option<u32>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pid {
            Some(pid) => known.insert(name, pid),
            None => known.remove(name),
        };
    }

    /// In Prometheus' format 0.0.4. Nothing where the system does not tell.
    pub(crate) fn text(&self) -> String {
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut text =
            "# HELP gaia_process_resident_bytes Memory that a process of the node holds.\n\
             # TYPE gaia_process_resident_bytes gauge\n"
                .to_owned();
        for (name, pid) in known {
            if let Some(bytes) = resident_bytes(pid) {
                // Writing to a String cannot fail.
                let _written = writeln!(
                    text,
                    "gaia_process_resident_bytes{{process=\"{name}\"}} {bytes}"
                );
            }
        }
        text
    }
}

/// What Linux says of a process.
fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_there_are_listed_with_their_memory() {
        let processes = Processes::default();
        let has = |name: &str| {
            let start = format!("gaia_process_resident_bytes{{process=\"{name}\"}} ");
            let text = processes.text();
            let found = text.lines().find_map(|line| line.strip_prefix(&*start));
            found.map(|bytes| bytes.parse::<u64>().unwrap())
        };
        assert!(has("gaia").unwrap() > 100_000);
        assert_eq!(has("worker"), None);
        processes.set("worker", Some(std::process::id()));
        assert!(has("worker").is_some());
        processes.set("worker", Some(u32::MAX));
        assert_eq!(has("worker"), None, "there is no such process");
        processes.set("worker", None);
        assert_eq!(has("worker"), None);
    }
}
