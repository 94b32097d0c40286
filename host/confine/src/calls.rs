//! System calls that a server which computes needs not, and which would help whoever took it over: seccomp.
//!
//! A list of what is refused, not of what is allowed: the runtime, the C library and a GPU's driver change
//! what they call, and a call that is refused for no reason ends the node. What is refused fails as if the
//! right to it were missing. Processes may be forked, since a model is tried in one; programs are for
//! Landlock, because the worker itself must still be started.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Other processes, the kernel's own affairs, other views of the file system.
#[rustfmt::skip]
const REFUSED: &[libc::c_long] = &[
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_kcmp,
    libc::SYS_pidfd_getfd, libc::SYS_process_madvise, libc::SYS_userfaultfd, libc::SYS_perf_event_open,
    libc::SYS_bpf, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl,
    libc::SYS_kexec_load, libc::SYS_reboot, libc::SYS_syslog,
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module,
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_open_tree,
    libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick,
    libc::SYS_mount_setattr, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_quotactl, libc::SYS_acct,
    libc::SYS_unshare, libc::SYS_setns, libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at,
    libc::SYS_sethostname, libc::SYS_setdomainname, libc::SYS_settimeofday, libc::SYS_clock_settime,
    libc::SYS_clock_adjtime, libc::SYS_adjtimex,
    // The worker is started with `execve`; this one could start a program that is nowhere on disk.
    libc::SYS_execveat,
    // A queue of calls which this filter does not see.
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
];

/// There on some processors only.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const REFUSED_HERE: &[libc::c_long] =
    &[libc::SYS_kexec_file_load, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt];
#[cfg(target_arch = "aarch64")]
const REFUSED_HERE: &[libc::c_long] = &[libc::SYS_kexec_file_load];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// The kinds of socket beside a stream of bytes.
const OTHER_SOCKET_TYPES: [libc::c_int; 5] = [
    libc::SOCK_DGRAM,
    libc::SOCK_RAW,
    libc::SOCK_RDM,
    libc::SOCK_SEQPACKET,
    SOCK_PACKET,
];
/// Raw packets, as they were asked for long ago.
const SOCK_PACKET: libc::c_int = 10;
/// The part of a socket's type that is not an option.
const SOCKET_TYPE_MASK: u64 = 0xf;

const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Why the calls stay open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefuseError {
    /// Not for this processor, or a rule that cannot be written down.
    #[error(transparent)]
    Filter(#[from] BackendError),
    /// The kernel has no filters.
    #[error("{0}")]
    Install(#[from] io::Error),
}

/// Refuses them from here on.
pub(crate) fn restrict(gpu: bool) -> Result<(), RefuseError> {
    install(&program(refused(gpu)?, libc::EPERM)?)?;
    // Its flags are out of a filter's sight. Told that there is no such call, everybody uses `clone`.
    let none = vec![];
    Ok(install(&program(
        BTreeMap::from([(libc::SYS_clone3, none)]),
        libc::ENOSYS,
    )?)?)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn program(rules: Rules, errno: i32) -> Result<BpfProgram, BackendError> {
    let processor = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, processor)?.try_into()
}

fn refused(gpu: bool) -> Result<Rules, BackendError> {
    let calls = REFUSED.iter().chain(REFUSED_HERE);
    let mut rules: Rules = calls.map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_socket, sockets(gpu)?);
    let namespaces = NAMESPACES.iter().map(|flag| rule(&[has(0, *flag)?]));
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    // Sends and connects in one, which Landlock does not notice on every kernel.
    for (call, flags) in [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ] {
        rules.insert(call, vec![rule(&[has(flags, libc::MSG_FASTOPEN)?])?]);
    }
    if !gpu {
        // A program in memory is on no list of files.
        rules.insert(libc::SYS_memfd_create, vec![]);
    }
    Ok(rules)
}

/// All but TCP: what is no TCP is not held to the ports. A GPU's driver talks to its service over a local socket.
fn sockets(gpu: bool) -> Result<Vec<SeccompRule>, BackendError> {
    let mut families = vec![libc::AF_INET, libc::AF_INET6];
    families.extend(gpu.then_some(libc::AF_UNIX));
    let others = families.iter().map(|family| is_not(0, *family));
    let mut rules = vec![SeccompRule::new(others.collect::<Result<_, _>>()?)?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in OTHER_SOCKET_TYPES {
            let kind = condition(1, SeccompCmpOp::MaskedEq(SOCKET_TYPE_MASK), kind)?;
            rules.push(rule(&[is(0, family)?, kind])?);
        }
        // The protocol: chosen by the system, or TCP by name.
        let other = [is(0, family)?, is_not(2, 0)?, is_not(2, libc::IPPROTO_TCP)?];
        rules.push(rule(&other)?);
    }
    Ok(rules)
}

fn rule(conditions: &[SeccompCondition]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.to_vec())
}

fn is(argument: u8, value: libc::c_int) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: libc::c_int) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn has(argument: u8, flag: libc::c_int) -> Result<SeccompCondition, BackendError> {
    let flag_bits = u64::from(flag.cast_unsigned());
    condition(argument, SeccompCmpOp::MaskedEq(flag_bits), flag)
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: libc::c_int,
) -> Result<SeccompCondition, BackendError> {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn install(program: &BpfProgram) -> io::Result<()> {
    // Older kernels slow down every computation of a process with a filter, against a leak between parts of one
    // process. This one has nothing to hide from itself.
    match install_with(program, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install_with(program, 0),
        outcome => outcome,
    }
}

fn install_with(program: &BpfProgram, flags: libc::c_ulong) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    let filter: *const libc::sock_fprog = &raw const filter;
    #[expect(unsafe_code, reason = "no crate sets the flag")]
    // SAFETY: the kernel copies the program, which lives until the call is over; its instructions have the layout
    // that the kernel documents, in both crates. The first call only gives up rights.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                filter,
            ) == 0
    };
    match done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}
