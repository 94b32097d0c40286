//! Gives back memory that a loaded model's process does not need.
//!
//! WasmEdge is linked with LLVM, and starting it touches a third of that library. A compiled application
//! never calls it; the kernel would drop those pages once memory is short, and is asked to do so now. Reading
//! a model leaves holes in the allocator, which are given back too. Neither changes what the process can do:
//! a page that is needed after all comes back from its file.
//!
//! Code is never written to, so its pages are dropped, whoever owns the file. Read-only data may hold
//! addresses that the loader wrote; the kernel is only asked to page them out, which it does for the file's
//! owner and which loses nothing.

/// Gives back what can be spared. Best done once a model has been loaded.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn shrink() {
    // SAFETY: gives free pages of the allocator back, at any time and from any thread.
    unsafe { libc::malloc_trim(0) };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for range in maps.lines().filter_map(compiler_range) {
        let start = range.start as *mut libc::c_void;
        // SAFETY: `MADV_PAGEOUT` keeps what the pages hold; `MADV_DONTNEED` goes back to what the file
        // holds, which for code is the same. The range is a mapping of a library that is not unloaded
        // while the process runs; if it were gone, the call would fail.
        unsafe { libc::madvise(start, range.len, range.advice) };
    }
}

/// Elsewhere the system is left to itself.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn shrink() {}

/// A mapping and what to advise for it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[derive(Debug, PartialEq, Eq)]
struct Range {
    start: usize,
    len: usize,
    advice: libc::c_int,
}

/// The range of a line of `/proc/self/maps`, if it is of the compiler's library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn compiler_range(line: &str) -> Option<Range> {
    let (range, rest) = line.split_once(' ')?;
    let file = rest.rsplit('/').next()?;
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|number| usize::from_str_radix(number, 16).ok());
    let (start, len) = (start?, end?.checked_sub(start?)?);
    let advice = match rest.split(' ').next()? {
        "r-xp" => libc::MADV_DONTNEED,
        "r--p" => libc::MADV_PAGEOUT,
        _ => return None,
    };
    let range = Range { start, len, advice };
    (rest.contains('/') && file.starts_with("libLLVM")).then_some(range)
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_compiler_is_found() {
        let check = |line: &str, expected: Option<libc::c_int>| {
            let expected = expected.map(|advice| Range {
                start: 0x7f00,
                len: 0x80,
                advice,
            });
            assert_eq!(compiler_range(line), expected, "{line}");
        };
        check(
            "7f00-7f80 r-xp 00000000 fe:00 12   /usr/lib/libLLVM.so.21.1",
            Some(libc::MADV_DONTNEED),
        );
        check(
            "7f00-7f80 r--p 00000000 fe:00 12   /usr/lib/libLLVM.so.21.1",
            Some(libc::MADV_PAGEOUT),
        );
        check(
            "7f00-7f80 rw-p 00000000 fe:00 12   /usr/lib/libLLVM.so.21.1",
            None,
        );
        check(
            "7f00-7f80 r-xp 00000000 fe:00 12   /usr/lib/libc.so.6",
            None,
        );
        check("7f00-7f80 rw-p 00000000 00:00 0", None);
        check("7f00-7f80 rw-p 00000000 00:00 0    libLLVM", None);
        check("nonsense", None);
    }

    /// Another thread that reads the library's code while it is dropped finds it as it was.
    #[test]
    fn code_that_was_dropped_comes_back() {
        shrink();
        let own = std::fs::read_to_string("/proc/self/maps").unwrap();
        let code = own
            .lines()
            .find(|line| line.contains(" r-xp ") && line.contains('/'));
        let renamed = code.unwrap().rsplit_once('/').unwrap().0.to_owned() + "/libLLVM.so";
        let range = compiler_range(&renamed).unwrap();
        let sum = || {
            // SAFETY: a mapping of this process's own code, which is readable.
            let code = unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len) };
            code.iter().map(|byte| u64::from(*byte)).sum::<u64>()
        };
        let before = sum();
        // SAFETY: as in `shrink`.
        let done =
            unsafe { libc::madvise(range.start as *mut libc::c_void, range.len, range.advice) };
        assert_eq!(done, 0);
        assert_eq!(sum(), before);
    }
}
