//! Files, programs, TCP connections and signals: Landlock.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};

use crate::{Files, Grants, Plan};

/// The newest generation of Landlock that this was tried on; older kernels do less.
const GENERATION: ABI = ABI::V7;

/// Which generations brought what.
const FILES_SINCE: ABI = ABI::V1;
const CONNECTIONS_SINCE: ABI = ABI::V4;
const SIGNALS_SINCE: ABI = ABI::V6;

/// Takes what `plan` does not keep from this thread, and says what the kernel did of it.
pub(crate) fn restrict(plan: &Plan) -> Result<Grants, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessNet::ConnectTcp)?
        .scope(Scope::Signal)?;
    if !plan.gpu {
        rules = rules.scope(Scope::AbstractUnixSocket)?;
    }
    if plan.files.is_some() {
        rules = rules.handle_access(AccessFs::from_all(GENERATION))?;
    }
    let ports = plan.connect.iter();
    let ports = ports.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp)));
    let mut rules = rules.create()?.add_rules(ports)?;
    if let Some(files) = &plan.files {
        for (paths, access) in accesses(files) {
            rules = rules.add_rules(path_beneath_rules(paths, access))?;
        }
    }
    let generation = match rules.restrict_self()?.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        _ => ABI::Unsupported,
    };
    Ok(Grants {
        files: generation >= FILES_SINCE,
        connections: generation >= CONNECTIONS_SINCE,
        signals: generation >= SIGNALS_SINCE,
        system_calls: false,
    })
}

fn accesses(files: &Files) -> [(&Vec<std::path::PathBuf>, BitFlags<AccessFs>); 5] {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write =
        read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
    let folders = AccessFs::MakeDir | AccessFs::RemoveDir | AccessFs::MakeSym | AccessFs::Refer;
    let control = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    [
        (&files.read, read),
        (&files.write, write),
        (&files.own, write | folders),
        (&files.devices, control),
        (&files.run, AccessFs::ReadFile | AccessFs::Execute),
    ]
}
