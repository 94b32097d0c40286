//! How much memory a model may use on this machine.

use std::fs;

/// The share of the available memory that a model may take; the rest is for everything else the
/// node runs, and for what starts later.
pub const MEMORY_SHARE_PERCENT: u64 = 75;

/// The memory a model may use now, in bytes; none where the system does not say.
pub fn usable_memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    Some(available(&text)? / 100 * MEMORY_SHARE_PERCENT)
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_available_and_not_what_is_free() {
        let text = "MemTotal:  8000 kB\nMemFree:  100 kB\nMemAvailable:   4000 kB\n";
        assert_eq!(available(text), Some(4000 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
    }
}
