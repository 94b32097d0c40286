//! How much memory a program can still have, by what the system's own files say.
//!
//! Pure: the caller reads the files. A container or a service has its limit in a control group, and the
//! whole system's numbers say nothing of it.

use std::iter;

/// The most groups, one in another, that are looked at.
const GROUPS_MAX: usize = 64;

/// Memory that can be had without swapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Available {
    /// How much.
    pub bytes: u64,
    /// Whether the limit of a container or service makes it so little, and not the machine.
    pub is_limit: bool,
}

impl Available {
    /// What the system reports, or what is left under the narrowest limit of the control groups that
    /// this process is in, of version 2 or 1. `read` gives the text of a file by its absolute path.
    /// `None` where nothing can be read.
    pub fn of(read: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let system = read("/proc/meminfo").and_then(|text| of_meminfo(&text));
        let groups = read("/proc/self/cgroup").unwrap_or_default();
        let left = [&UNIFIED, &LEGACY].into_iter().flat_map(|version| {
            let folders = version.folders(&groups);
            let left = folders.filter_map(|folder| version.left(&folder, &read));
            left.collect::<Vec<_>>()
        });
        let of = |is_limit| move |bytes| Self { bytes, is_limit };
        system
            .map(of(false))
            .into_iter()
            .chain(left.map(of(true)))
            .min()
    }
}

fn of_meminfo(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Where a version of control groups keeps what.
struct Version {
    root: &'static str,
    /// What its line in `/proc/self/cgroup` has before the path, behind the first colon.
    line: &'static str,
    limit: &'static str,
    used: &'static str,
    /// The names in `memory.stat` of pages of files, and of those of them that are mapped; they count
    /// the groups within, too.
    files: [&'static str; 2],
    mapped: &'static str,
}

const UNIFIED: Version = Version {
    root: "/sys/fs/cgroup",
    line: ":",
    limit: "memory.max",
    used: "memory.current",
    files: ["inactive_file", "active_file"],
    mapped: "file_mapped",
};

const LEGACY: Version = Version {
    root: "/sys/fs/cgroup/memory",
    line: "memory:",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    files: ["total_inactive_file", "total_active_file"],
    mapped: "total_mapped_file",
};

impl Version {
    /// The folders of the process's group and of those around it, the outermost first. A container
    /// sees its own as the outermost, and may be told a path that only its host knows.
    fn folders(&self, groups: &str) -> impl Iterator<Item = String> {
        let path = groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.strip_prefix(self.line)
        });
        let path = path.filter(|path| !path.contains("..")).unwrap_or_default();
        let mut folder = self.root.to_owned();
        let inner: Vec<_> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .take(GROUPS_MAX - 1)
            .map(|part| {
                folder = format!("{folder}/{part}");
                folder.clone()
            })
            .collect();
        iter::once(self.root.to_owned()).chain(inner)
    }

    /// What is left under the limit of the group in `folder`. Pages of files count as used there, but the
    /// kernel gives up those that nobody maps before it lets the group go without: among them are those of a
    /// model that has just left memory. Mapped ones stay counted, for they may be the weights of a model that
    /// is computing. `None` where there is no limit.
    fn left(&self, folder: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
        let number = |file| {
            read(&format!("{folder}/{file}"))?
                .trim()
                .parse::<u64>()
                .ok()
        };
        let limit = number(self.limit)?;
        let used = number(self.used)?;
        let stat = read(&format!("{folder}/memory.stat"));
        let given_up = stat.map_or(0, |stat| self.unmapped_files(&stat));
        Some(limit.saturating_sub(used.saturating_sub(given_up)))
    }

    fn unmapped_files(&self, stat: &str) -> u64 {
        let of = |name: &str| {
            let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
            let value = lines.find(|(key, _)| *key == name);
            value
                .and_then(|(_, value)| value.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        let [inactive, active] = self.files.map(of);
        inactive
            .saturating_add(active)
            .saturating_sub(of(self.mapped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `files`: paths and texts, as `head -n 99` would show them.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: Option<(u64, bool)>) {
        let read = |path: &str| {
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        let found = Available::of(read);
        assert_eq!(
            found.map(|it| (it.bytes, it.is_limit)),
            expected,
            "{files:?}"
        );
    }

    #[test]
    fn the_system_says_what_is_available_and_not_what_is_free() {
        let meminfo = "MemTotal:  8000 kB\nMemFree:  100 kB\nMemAvailable:   21 kB\n";
        check(&[("/proc/meminfo", meminfo)], Some((21 * 1024, false)));
        for wrong in ["MemTotal: 1 kB\n", "MemAvailable: many kB\n", ""] {
            check(&[("/proc/meminfo", wrong)], None);
        }
        let endless = format!("MemAvailable: {} kB\n", u64::MAX);
        check(&[("/proc/meminfo", &endless)], None);
        check(&[], None);
    }

    #[test]
    fn the_file_of_a_model_that_left_does_not_count_as_used() {
        let check = |max: &str, current: &str, stat: Option<&str>, expected: Option<u64>| {
            let mut files = vec![
                ("/sys/fs/cgroup/memory.max", max),
                ("/sys/fs/cgroup/memory.current", current),
            ];
            files.extend(stat.map(|stat| ("/sys/fs/cgroup/memory.stat", stat)));
            check(&files, expected.map(|bytes| (bytes, true)));
        };
        let stat = "anon 100\nfile 650\nfile_mapped 50\nshmem 10\ninactive_anon 7\n\
            inactive_file 400\nactive_file 200\nworkingset_refault_file 9\n";
        check(
            "1000\n",
            "900\n",
            Some(stat),
            Some(1000 - 900 + 400 + 200 - 50),
        );
        check("1000\n", "900\n", None, Some(100));
        check(
            "1000\n",
            "900\n",
            Some("inactive_file x\nactive_file\n"),
            Some(100),
        );
        let mapped = "file_mapped 9999\ninactive_file 1\n";
        check("1000\n", "900\n", Some(mapped), Some(100));
        // More given up than used, or more used than allowed: never below nothing, never above the limit.
        check("1000\n", "300\n", Some(stat), Some(1000));
        check("1000\n", "1100\n", None, Some(0));
        check("max\n", "900\n", Some(stat), None);
        check("", "", None, None);
    }

    #[test]
    fn the_narrowest_limit_around_the_process_counts() {
        let of = |inner: &'static str, outer: &'static str| {
            vec![
                ("/proc/meminfo", "MemAvailable: 1 kB\n"),
                ("/proc/self/cgroup", "0::/system.slice/gaia.service\n"),
                ("/sys/fs/cgroup/system.slice/memory.max", outer),
                ("/sys/fs/cgroup/system.slice/memory.current", "200"),
                ("/sys/fs/cgroup/system.slice/gaia.service/memory.max", inner),
                (
                    "/sys/fs/cgroup/system.slice/gaia.service/memory.current",
                    "100",
                ),
            ]
        };
        check(&of("500", "900"), Some((400, true)));
        check(&of("900", "500"), Some((300, true)));
        check(&of("max", "max"), Some((1024, false)));
        check(&of("9000", "9000"), Some((1024, false)));
        // A path of the host's, or one out of what can be seen: the outermost group is its own.
        for path in ["0::/docker/0123\n", "0::/../gaia.service\n"] {
            let root = [
                ("/proc/self/cgroup", path),
                ("/sys/fs/cgroup/memory.max", "70"),
                ("/sys/fs/cgroup/memory.current", "20"),
                ("/sys/fs/cgroup/../gaia.service/memory.max", "1"),
                ("/sys/fs/cgroup/../gaia.service/memory.current", "0"),
            ];
            check(&root, Some((50, true)));
        }
    }

    #[test]
    fn a_limit_of_the_first_version_counts_too() {
        let of = |limit: &'static str| {
            vec![
                ("/proc/meminfo", "MemAvailable: 1 kB\n"),
                (
                    "/proc/self/cgroup",
                    "12:cpu,cpuacct:/x\n5:memory:/docker/0123\n0::/\n",
                ),
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", limit),
                ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "900\n"),
                (
                    "/sys/fs/cgroup/memory/memory.stat",
                    "inactive_file 1\nmapped_file 2\ntotal_inactive_file 400\n\
                     total_active_file 50\ntotal_mapped_file 150\n",
                ),
            ]
        };
        check(&of("1000\n"), Some((1000 - 900 + 400 + 50 - 150, true)));
        check(&of("9223372036854771712\n"), Some((1024, false)));
    }

    #[test]
    fn only_so_many_groups_are_looked_at() {
        let line = format!("0::{}", "/a".repeat(GROUPS_MAX));
        assert_eq!(UNIFIED.folders(&line).count(), GROUPS_MAX);
        let deep = format!("{}{}", UNIFIED.root, "/a".repeat(GROUPS_MAX - 1));
        assert_eq!(UNIFIED.folders(&line).last(), Some(deep));
    }
}
