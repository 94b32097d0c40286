//! What root may do and other users may not: where root starts the process, it loses nearly all of that.
//!
//! The other rules hold for root too, but the kernel has doors beside them: whoever may watch performance may
//! read the environment of every process.

use std::io;

use rustix::process::geteuid;

/// Reading and writing files of other users, because where root runs a node in a container the files may be
/// somebody else's; keeping memory from being swapped; urgent threads. As the kernel numbers them.
const KEPT: [libc::c_ulong; 4] = [
    1,  // CAP_DAC_OVERRIDE
    2,  // CAP_DAC_READ_SEARCH
    14, // CAP_IPC_LOCK
    23, // CAP_SYS_NICE
];

/// More than any kernel has.
const RIGHTS_MAX: libc::c_ulong = 64;

/// Gives them up for the program that comes next.
pub(crate) fn give_up() -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    for right in (0..RIGHTS_MAX).filter(|right| !KEPT.contains(right)) {
        #[expect(unsafe_code, reason = "a system call without a safe face here")]
        // SAFETY: takes numbers, and only gives up rights.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, right, 0, 0, 0) };
        match done {
            0 => {}
            _ => match io::Error::last_os_error() {
                // The kernel has no right of this number, and none of a higher one.
                error if error.raw_os_error() == Some(libc::EINVAL) => break,
                error => return Err(error),
            },
        }
    }
    Ok(())
}
