//! What the process may take of the system: limits that hold for everything it starts, too.
//!
//! The number of processes is not among them: the kernel counts all of the user's, so a limit that lets
//! the worker have its threads on one machine ends it on another.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Plan;

/// Open files: connections, with room. Many systems start with 1024, fewer than connections may be open.
const OPEN_FILES_MAX: u64 = 8192;
/// The largest file it may write where its plan does not say. The worker writes notes of a line.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Lowers them; says what did not work.
pub(crate) fn lower(plan: &Plan) -> Vec<String> {
    // A core file of the worker holds what its users said.
    let mut wanted = vec![(Resource::Core, 0), (Resource::Nofile, OPEN_FILES_MAX)];
    // A GPU's driver shares memory through files.
    let file_bytes_max = plan.file_bytes_max.unwrap_or(FILE_BYTES_MAX);
    wanted.extend((!plan.gpu).then_some((Resource::Fsize, file_bytes_max)));
    let failed = wanted.into_iter().filter_map(|(resource, limit)| {
        let limit = Some(
            getrlimit(resource)
                .maximum
                .map_or(limit, |hard| hard.min(limit)),
        );
        let limits = Rlimit {
            current: limit,
            maximum: limit,
        };
        let error = setrlimit(resource, limits).err()?;
        Some(format!("the limit of {resource:?} stays as it is: {error}"))
    });
    failed.collect()
}
