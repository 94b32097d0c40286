//! Memory and processor time of processes, as Linux counts them.

use std::fs;
use std::time::Instant;

/// The memory that ending the processes `pids` would free, and their share of what others use too, in MiB.
/// NaN where `/proc` does not say.
pub fn proportional_mib(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| of_one(*pid)).sum()
}

fn of_one(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    kibibytes(&rollup, "Pss:").map_or(f64::NAN, |kib| kib / 1024.0)
}

/// The memory of a process that is in the machine's, what it shares with others in full, in MiB. NaN where `/proc` does
/// not say.
pub fn resident_mib(pid: u32) -> f64 {
    status_mib(pid, "VmRSS:")
}

/// The most that it ever was.
pub fn peak_mib(pid: u32) -> f64 {
    status_mib(pid, "VmHWM:")
}

fn status_mib(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kibibytes(&status, key).map_or(f64::NAN, |kib| kib / 1024.0)
}

fn kibibytes(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Seconds of processor time that the process has used so far; NaN where `/proc` does not say.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().unwrap_or(f64::NAN));
    let ticks: Vec<f64> = ticks.collect();
    match ticks.as_slice() {
        [user, system] => (user + system) / 100.0,
        _ => f64::NAN,
    }
}

/// What this program burns while it measures another.
pub struct Spent {
    begun: Instant,
    cpu_seconds: f64,
}

impl Spent {
    /// From now on.
    pub fn begin() -> Self {
        Self {
            begun: Instant::now(),
            cpu_seconds: cpu_seconds(std::process::id()),
        }
    }

    /// In percent of one core.
    pub fn share(&self) -> f64 {
        let cpu = cpu_seconds(std::process::id()) - self.cpu_seconds;
        100.0 * cpu / self.begun.elapsed().as_secs_f64()
    }
}

/// The process `pid` and all that it started, and they.
pub fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children(parent));
        next += 1;
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_time() {
        let me = std::process::id();
        assert!(proportional_mib(&[me]) > 0.1);
        assert!(cpu_seconds(me) >= 0.0);
        assert!(resident_mib(me) > 0.1 && peak_mib(me) >= resident_mib(me));
        assert!(proportional_mib(&[u32::MAX]).is_nan());
    }

    #[test]
    fn a_family_has_its_children() {
        let mut child = std::process::Command::new("sleep")
            .arg("5")
            .spawn()
            .unwrap();
        assert!(family(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
