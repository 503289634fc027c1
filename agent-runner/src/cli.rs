//! The command line. Everything else is a setting (see [`settings`](crate::settings)), so that a
//! container and a shell start the runner in the same way.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::doctor::DoctorOptions;
use crate::probe::ProbeOptions;
use crate::replay::ReplayOptions;
use crate::user::become_user::Become;

/// Runs one job: clones a repository, drives a coding CLI in it, opens a pull request, reports.
///
/// Settings come from the environment: REPO_URL and TASK (and GITHUB_TOKEN) for a run without an
/// app; TERARCHITECT_API_URL, PROJECT_ID and TICKET_ID for one with it. WORKER_MODE, WORKER_LLM_URL,
/// WORKER_MODEL and WORKER_API_KEY choose the coding CLI and its model. The exit code tells how the
/// run ended; 0 means that the branch is pushed and the pull request is open.
#[derive(Debug, Parser)]
#[command(name = "agent-runner", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Implement a ticket, or the text in TASK, and open a pull request
    Ticket,
    /// Answer what the reviewers of a pull request said (PR_NUMBER)
    Review,
    /// Tell whether the coding CLIs of this image work, with a model that is built in
    Doctor(DoctorOptions),
    /// The part of it that does so, below the one that reaps processes
    #[command(hide = true)]
    DoctorInner(DoctorOptions),
    /// Tell what this version makes of the turns in a bundle of `coordinator bundle`; offline
    Replay(ReplayOptions),
    /// Tell what a job would find here: whether the URLs of its settings answer
    Probe(ProbeOptions),
    /// The part of it that looks, in the environment of a job
    #[command(hide = true)]
    ProbeInner(ProbeOptions),
    /// The part that reaps processes and passes signals on
    #[command(hide = true)]
    Outer { kind: Option<Kind> },
    /// The part that does the work, below the outer one
    #[command(hide = true)]
    Inner { kind: Option<Kind> },
    /// Answer git's question for a credential
    #[command(hide = true)]
    Credential { operation: Option<String> },
    /// Be the gateway of a job: the filter of what leaves its network, or the holder of its model's key
    #[command(hide = true)]
    Gateway,
    /// Become the worker's user, and run a program as that
    #[command(hide = true)]
    Become(Become),
    /// Carry a new token of the forge, on standard input, to the run that listens at this socket
    #[command(hide = true)]
    Refresh { socket: PathBuf },
}

/// What kind of job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Implement a ticket and open a pull request.
    Ticket,
    /// Answer a review comment on a pull request.
    Review,
}

impl Kind {
    /// All kinds, for messages that list what is allowed.
    pub(crate) const ALL: [Self; 2] = [Self::Ticket, Self::Review];

    /// The name on the command line, in `JOB_KIND` and in the worker API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Review => "review",
        }
    }
}

/// What this process is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The process that was started from outside: takes the settings and becomes the outer one.
    First(Option<Kind>),
    /// The process that reaps, passes signals on and runs the inner one.
    Outer(Option<Kind>),
    /// The process that does the job.
    Inner(Option<Kind>),
    /// The one that has the coding CLIs examined.
    Doctor(DoctorOptions),
    /// The one that examines them.
    DoctorInner(DoctorOptions),
    /// The one that replays a bundle.
    Replay(ReplayOptions),
    /// The one that is asked what a job would find.
    Probe(ProbeOptions),
    /// The one that looks.
    ProbeInner(ProbeOptions),
    /// A helper that git starts.
    Credential,
    /// What a job has in a container beside its own.
    Gateway,
    /// A helper that the coordinator starts.
    Refresh(PathBuf),
    /// The beginning of a process of the worker.
    Become(Become),
}

impl Cli {
    /// The role that the arguments ask for. Without a kind, `JOB_KIND` decides.
    pub(crate) fn role(&self) -> Role {
        match &self.command {
            None => Role::First(None),
            Some(Command::Ticket) => Role::First(Some(Kind::Ticket)),
            Some(Command::Review) => Role::First(Some(Kind::Review)),
            Some(Command::Outer { kind }) => Role::Outer(*kind),
            Some(Command::Inner { kind }) => Role::Inner(*kind),
            Some(Command::Doctor(options)) => Role::Doctor(options.clone()),
            Some(Command::DoctorInner(options)) => Role::DoctorInner(options.clone()),
            Some(Command::Replay(options)) => Role::Replay(options.clone()),
            Some(Command::Probe(options)) => Role::Probe(options.clone()),
            Some(Command::ProbeInner(options)) => Role::ProbeInner(options.clone()),
            Some(Command::Credential { .. }) => Role::Credential,
            Some(Command::Gateway) => Role::Gateway,
            Some(Command::Become(user)) => Role::Become(user.clone()),
            Some(Command::Refresh { socket }) => Role::Refresh(socket.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_subcommand_leaves_the_kind_to_the_settings() {
        assert_eq!(Cli::parse_from(["agent-runner"]).role(), Role::First(None));
        let ticket = Cli::parse_from(["agent-runner", "ticket"]).role();
        assert_eq!(ticket, Role::First(Some(Kind::Ticket)));
    }

    #[test]
    fn git_may_call_the_helper_with_its_operation() {
        let role = Cli::parse_from(["agent-runner", "credential", "get"]).role();
        assert_eq!(role, Role::Credential);
    }
}
