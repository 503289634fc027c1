//! The last step before an agent on this host: a process that gives up what the agent must not
//! have, and then becomes the agent.
//!
//! It has one thread and no async runtime, since mounts and users belong to threads. It is given
//! nothing secret: the job document waits on standard input for the agent.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use api_client::contract::env;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

/// Exit code when the agent was not begun: no program of ours ends with it, nor does `agent-runner`.
pub(crate) const NOT_CONFINED: u8 = 125;

/// The file among the agent's temporary ones that it leaves its outcome in.
pub(crate) const OUTCOME: &str = "agent-runner-outcome.json";

/// The file beside it for what it takes down of its coding CLI.
pub(crate) const TRANSCRIPT: &str = "agent-runner-transcript.jsonl";

/// Where programs put what is temporary.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// What is to be done, as told on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confine {
    /// The folder for what the agent keeps for a while.
    pub(crate) temporary: PathBuf,
    /// Paths that the agent must see as they are.
    pub(crate) seen: Vec<PathBuf>,
    /// As whom it runs, where that is another.
    pub(crate) user: Option<Ids>,
    /// Open files of one process.
    pub(crate) files: Option<u64>,
    /// Processes of its user, all together.
    pub(crate) processes: Option<u64>,
    /// The agent: program and arguments.
    pub(crate) command: Vec<OsString>,
}

/// A user and its groups, by numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// The agent was not begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("cannot give the agent a /tmp of its own (CAP_SYS_ADMIN is needed): {action} {}", path.display())]
    Mount {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Errno,
    },
    #[error("cannot run the agent as user {uid}")]
    User {
        uid: u32,
        #[source]
        source: Errno,
    },
    #[error("no folder for temporary files can be had below /tmp or /var/tmp for HOST_USER")]
    NoTemporary,
    #[error("cannot run {} on the host; set AGENT_RUNNER_PATH", program.display())]
    Program {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Becomes the agent. What it cannot give without harm to the job is passed to `tell`.
pub(crate) fn confine(order: &Confine, tell: impl Fn(&str)) -> ConfineError {
    let place = match private_tmp(order) {
        Ok(place) => place,
        Err(error) if order.user.is_some() => return error,
        Err(error) => {
            tell(&api_client::error_chain(&error));
            order.temporary.clone()
        }
    };
    bound(order, &tell);
    if let Some(ids) = &order.user
        && let Err(source) = become_user(ids)
    {
        return ConfineError::User { uid: ids.uid, source };
    }
    let (program, arguments) = match order.command.split_first() {
        Some((program, arguments)) => (PathBuf::from(program), arguments),
        None => (PathBuf::new(), &[][..]),
    };
    let mut command = Command::new(&program);
    command.args(arguments).env(env::OUTCOME_FILE, place.join(OUTCOME));
    command.env(env::TRANSCRIPT_FILE, place.join(TRANSCRIPT)).env("TMPDIR", place);
    let source = command.exec();
    ConfineError::Program { program, source }
}

/// Puts the folder in the place of `/tmp` and `/var/tmp`, for this process and those it starts;
/// tells where it is to be found. One that holds what the agent must see is left as it is.
fn private_tmp(order: &Confine) -> Result<PathBuf, ConfineError> {
    if !geteuid().is_root() {
        return Ok(order.temporary.clone());
    }
    let places: Vec<_> = hidden_places(&order.seen).collect();
    let Some(first) = places.first() else {
        return match order.user {
            Some(_) => Err(ConfineError::NoTemporary),
            None => Ok(order.temporary.clone()),
        };
    };
    let root = Path::new("/");
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| ConfineError::Mount { action, path, source }
    };
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed("unshare", root))?;
    // What the host mounts later is seen here, and not the other way round.
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    bind(None, root, slave).map_err(failed("mount", root))?;
    for place in &places {
        let source = Some(order.temporary.as_path());
        bind(source, place, MsFlags::MS_BIND).map_err(failed("mount", place))?;
    }
    Ok(first.to_path_buf())
}

fn bind(source: Option<&Path>, target: &Path, flags: MsFlags) -> nix::Result<()> {
    mount(source, target, None::<&str>, flags, None::<&str>)
}

/// The places that hold nothing of what must be seen.
fn hidden_places(seen: &[PathBuf]) -> impl Iterator<Item = &'static Path> {
    let holds_none = |place: &&Path| !seen.iter().any(|path| path.starts_with(place));
    TEMPORARY.into_iter().map(Path::new).filter(holds_none).filter(|place| place.is_dir())
}

/// Bounds that the kernel has for a process of its own accord. None is worth failing a job for.
fn bound(order: &Confine, tell: &impl Fn(&str)) {
    let limits = [
        // A core file would hold what the agent had in memory.
        (Resource::RLIMIT_CORE, Some(0), "core files"),
        (Resource::RLIMIT_NOFILE, order.files, "AGENT_NOFILE"),
        (Resource::RLIMIT_NPROC, order.processes, "AGENT_PIDS"),
    ];
    for (resource, limit, name) in limits {
        if let Some(limit) = limit
            && let Err(error) = setrlimit(resource, limit, limit)
        {
            tell(&format!("the limit of {name} on this host cannot be set to {limit}: {error}"));
        }
    }
}

fn become_user(ids: &Ids) -> nix::Result<()> {
    let groups: Vec<_> = ids.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    // No set-user-id program leads back.
    nix::sys::prctl::set_no_new_privs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(seen: &[&str]) -> Vec<&'static Path> {
        let seen: Vec<_> = seen.iter().map(PathBuf::from).collect();
        hidden_places(&seen).collect()
    }

    #[test]
    fn a_place_that_holds_the_project_is_not_hidden() {
        assert_eq!(hidden(&["/srv/demo"]), [Path::new("/tmp"), Path::new("/var/tmp")]);
        assert_eq!(hidden(&["/srv/demo", "/tmp/demo"]), [Path::new("/var/tmp")]);
        assert_eq!(hidden(&["/tmpfiles"]), [Path::new("/tmp"), Path::new("/var/tmp")]);
        assert!(hidden(&["/tmp", "/var/tmp/x"]).is_empty());
    }
}
