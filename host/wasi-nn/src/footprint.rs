//! Gives back memory that a loaded model's process does not need.
//!
//! WasmEdge is linked with LLVM, and starting it touches a third of that library. A compiled application
//! never calls it; the kernel would drop those pages once memory is short, and is asked to do so now. Reading
//! a model leaves holes in the allocator, which are given back too. Neither changes what the process can do:
//! a page that is needed after all comes back from its file.

/// Gives back what can be spared. Best done once a model has been loaded.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn shrink() {
    // SAFETY: gives free pages of the allocator back, at any time and from any thread.
    unsafe { libc::malloc_trim(0) };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, len) in maps.lines().filter_map(compiler_range) {
        // SAFETY: pages are only written back or dropped from memory; their content stays what it is. The
        // range is a mapping of a library that is not unloaded while the process runs; if it were gone, the
        // call would fail.
        unsafe { libc::madvise(start as *mut libc::c_void, len, libc::MADV_PAGEOUT) };
    }
}

/// Elsewhere the system is left to itself.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn shrink() {}

/// Address and length of a line of `/proc/self/maps`, if it is of the compiler's library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn compiler_range(line: &str) -> Option<(usize, usize)> {
    let (range, rest) = line.split_once(' ')?;
    let file = rest.rsplit('/').next()?;
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|number| usize::from_str_radix(number, 16).ok());
    let (start, len) = (start?, end?.checked_sub(start?)?);
    (rest.contains('/') && file.starts_with("libLLVM")).then_some((start, len))
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_compiler_is_found() {
        let check = |line: &str, expected: Option<(usize, usize)>| {
            assert_eq!(compiler_range(line), expected, "{line}");
        };
        check(
            "7f00-7f80 r-xp 00000000 fe:00 12   /usr/lib/libLLVM.so.21.1",
            Some((0x7f00, 0x80)),
        );
        check(
            "7f00-7f80 r-xp 00000000 fe:00 12   /usr/lib/libc.so.6",
            None,
        );
        check("7f00-7f80 rw-p 00000000 00:00 0", None);
        check("7f00-7f80 rw-p 00000000 00:00 0    libLLVM", None);
        check("nonsense", None);
    }
}
