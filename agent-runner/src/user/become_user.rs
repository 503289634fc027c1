//! The step between the runner and a process of the worker: a process that is root, gives that up for
//! good, and is replaced by the program. It is one of ours because what it does between `fork` and
//! `exec` cannot be done there without unsafe code.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::{Args, ValueEnum};
use nix::errno::Errno;
use nix::sys::prctl::set_no_new_privs;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, setgroups, setresgid, setresuid};

/// Whether a process may come by privileges through a program that has some of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Privileges {
    /// It never does: set-user-id programs and file capabilities have no effect.
    Fixed,
    /// It may.
    Gainable,
}

impl Privileges {
    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Gainable => "gainable",
        }
    }
}

/// Who to become, and what to run then. None of it is secret.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Become {
    /// The user
    #[arg(long)]
    uid: u32,
    /// The group
    #[arg(long)]
    gid: u32,
    /// A further group
    #[arg(long = "group")]
    groups: Vec<u32>,
    /// Whether programs with privileges of their own have them
    #[arg(long)]
    privileges: Privileges,
    /// The program, by its path, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// A program could not be run as another user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BecomeError {
    /// The system does not allow it.
    #[error(
        "cannot become user {uid}; the container needs the capabilities SETUID, SETGID and CHOWN"
    )]
    User {
        /// The user.
        uid: u32,
        /// The system's reason.
        #[source]
        source: Errno,
    },
    /// The program cannot be run.
    #[error("cannot run {} as user {uid}", program.display())]
    Program {
        /// The user.
        uid: u32,
        /// The program.
        program: OsString,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Become {
    /// Becomes that user and runs the program in the place of this process. Comes back only to say why
    /// it cannot.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn run(self) -> Result<Infallible, BecomeError> {
        let uid = self.uid;
        self.change().map_err(|source| BecomeError::User { uid, source })?;
        let mut words = self.command.into_iter();
        let program = words.next().unwrap_or_default();
        let source = Command::new(&program).args(words).exec();
        Err(BecomeError::Program { uid, program, source })
    }

    fn change(&self) -> Result<(), Errno> {
        first_to_go();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        for pipe in [io::stdin().as_fd(), io::stdout().as_fd(), io::stderr().as_fd()] {
            give_pipe(pipe, uid, gid)?;
        }
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        match self.privileges {
            Privileges::Fixed => set_no_new_privs(),
            Privileges::Gainable => Ok(()),
        }
    }
}

/// Has the kernel end this process, and what it starts, before the runner when memory is short: many
/// small processes would else outlive the one that can say what happened.
fn first_to_go() {
    /// Of 1000: counts like half of the memory that there is.
    const MORE_THAN_THE_RUNNER: &str = "500";
    // One that is likelier to be ended already stays so; that the kernel refuses costs no job.
    let _refused = fs::write("/proc/self/oom_score_adj", MORE_THAN_THE_RUNNER);
}

/// A pipe that is another user's can be used, but not opened once more as `/dev/stderr`.
fn give_pipe(file: impl AsFd, uid: Uid, gid: Gid) -> Result<(), Errno> {
    let kind = SFlag::from_bits_truncate(fstat(&file)?.st_mode) & SFlag::S_IFMT;
    match kind {
        SFlag::S_IFIFO => fchown(file, Some(uid), Some(gid)),
        _ => Ok(()),
    }
}
