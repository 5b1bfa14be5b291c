//! Memory that holds secrets stays in it: no core file, and no look from outside.

use std::io;

/// Has the system write no core file of this process, and let no other process of the same user
/// read its memory or its environment.
#[cfg(unix)]
pub(super) fn forbid() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = Rlimit {
        current: Some(0),
        // A browser that is started from here may want its own.
        maximum: getrlimit(Resource::Core).maximum,
    };
    let limited = setrlimit(Resource::Core, limit);
    // Where cores are piped to a program, the limit alone counts for nothing (core(5)).
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(limited?)
}

/// There are none to forbid here.
#[cfg(not(unix))]
pub(super) fn forbid() -> io::Result<()> {
    Ok(())
}
