//! How many threads to compute with.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

/// The physical cores this process may use. Two threads on one core share its multipliers, so more
/// threads than cores make llama.cpp slower.
pub(crate) fn physical_cores() -> usize {
    let logical = available_parallelism().map_or(1, usize::from);
    let cores = cores_listed_in(Path::new("/sys/devices/system/cpu"));
    if cores == 0 {
        logical
    } else {
        cores.min(logical)
    }
}

/// Counts the distinct sets of siblings under `folder`; 0 where the system has no such folder.
fn cores_listed_in(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| {
            fs::read_to_string(entry.path().join("topology/thread_siblings_list")).ok()
        })
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_count_once() {
        let folder = std::env::temp_dir().join(format!("gaia-cores-{}", std::process::id()));
        for (cpu, siblings) in [
            ("cpu0", "0,2"),
            ("cpu1", "1,3"),
            ("cpu2", "0,2"),
            ("cpu3", "1,3"),
        ] {
            let topology = folder.join(cpu).join("topology");
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("thread_siblings_list"), siblings).unwrap();
        }
        assert_eq!(cores_listed_in(&folder), 2);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(cores_listed_in(&folder), 0);
    }

    #[test]
    fn there_is_always_a_thread() {
        assert!(physical_cores() >= 1);
    }
}
