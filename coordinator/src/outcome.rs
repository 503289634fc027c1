//! From exit facts to an outcome. Pure: no clock, no I/O.

mod kind;

use std::fmt;

use api_client::UtcTime;
use api_client::contract::AgentExit;
use serde::{Deserialize, Serialize};

use crate::engine::ExitFacts;

pub(crate) use self::kind::CauseKind;

/// How a job ended, as the app is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The agent delivered.
    Completed,
    /// It did not.
    Failed(Cause),
    /// A provider's limit is used up: the job is to go on later.
    Parked(Pause),
    /// The job is another's by now: there is nothing for us to report.
    Superseded,
}

/// When a job may go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pause {
    /// As its agent says; nothing where that tells nothing that is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<UtcTime>,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The agent said so by its exit code.
    Agent { exit: AgentExit },
    /// The agent ended with a code that is none of its own.
    AgentCrashed { code: i64 },
    /// A signal ended the agent.
    AgentKilled { signal: i64 },
    /// The kernel ended it for want of memory.
    OutOfMemory,
    /// Nothing could be started, neither a container nor, where allowed, a run on the host.
    NotStarted { problem: String },
    /// No token of the forge could be had for its repository.
    ForgeToken { problem: String },
    /// The engine has no image of that name.
    ImageMissing { problem: String },
    /// The engine, or the agent by its last words, had no space left.
    NoSpace { said: String },
    /// It took more disk space than it may.
    DiskLimit { limit_mib: u64 },
    /// The agent could not start another process.
    PidsLimit { said: String },
    /// The engine went away while the agent ran, and ended it.
    EngineLost { code: i64 },
    /// The container was removed by someone else before its end was seen.
    ContainerGone,
    /// The keeper of the agent on this host was ended by someone else, and the agent with it.
    KeeperGone,
    /// The coordinator was away, and when it came back nothing was left of the agent.
    AdoptedGone,
    /// It ran longer than it may.
    Deadline { limit_sec: u64 },
    /// It printed nothing for longer than it may.
    Stalled { limit_sec: u64 },
    /// The gateway beside its container ended before it.
    GatewayLost,
    /// The app asked for the end.
    Cancelled,
    /// The coordinator was stopped, and the agent with it, or before it began.
    Interrupted,
    /// The app handed out a job that cannot be understood.
    Unreadable { problem: String },
    /// The state directory did not take the claim.
    NotRecorded { problem: String },
    /// A defect of the coordinator.
    Internal { problem: String },
}

impl Outcome {
    /// The outcome of an agent whose process ended with these facts.
    pub(crate) fn of_exit(facts: &ExitFacts) -> Self {
        let cause = match AgentExit::from_code(facts.code) {
            // The kernel may have ended a child of the agent for want of memory, and the agent
            // went on: its own word is worth more.
            Some(AgentExit::Delivered) => return Self::Completed,
            Some(AgentExit::Parked) => return Self::Parked(Pause::default()),
            Some(AgentExit::Cancelled) => Cause::Cancelled,
            Some(AgentExit::OutOfMemory) => Cause::OutOfMemory,
            Some(exit @ AgentExit::ProcessLimit) => {
                Cause::PidsLimit { said: exit.describe().to_owned() }
            }
            Some(exit) => Cause::Agent { exit },
            None if facts.out_of_memory => Cause::OutOfMemory,
            None if (129..=192).contains(&facts.code) => {
                Cause::AgentKilled { signal: facts.code - 128 }
            }
            None => Cause::AgentCrashed { code: facts.code },
        };
        Self::Failed(cause)
    }

    /// The same, with what the agent's last words say about the reason.
    pub(crate) fn explained_by(self, tail: &str) -> Self {
        match self {
            Self::Failed(cause) => Self::Failed(cause.explained_by(tail)),
            Self::Completed | Self::Parked(_) | Self::Superseded => self,
        }
    }

    /// The same, with the time at which a parked job may go on.
    pub(crate) fn paused_until(self, until: Option<UtcTime>) -> Self {
        match self {
            Self::Parked(_) => Self::Parked(Pause { until }),
            other => other,
        }
    }

    /// Whether the job failed.
    pub(crate) const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// What the C library says for `ENOSPC`, and so nearly every program.
const NO_SPACE: &str = "No space left on device";

/// What shells and the C library say for `EAGAIN` at a `fork`.
const NO_PROCESS: [&str; 3] =
    ["fork: Resource temporarily unavailable", "fork: retry:", "Cannot fork"];

impl Cause {
    /// Why nothing could be started, from what the engine or the system said.
    pub(crate) fn of_start_failure(problem: String) -> Self {
        let said = problem.to_ascii_lowercase();
        if said.contains("no such image") {
            Self::ImageMissing { problem }
        } else if said.contains(&NO_SPACE.to_ascii_lowercase()) {
            Self::NoSpace { said: problem }
        } else {
            Self::NotStarted { problem }
        }
    }

    /// Of an end that a number tells about, the reason that the agent's last words tell.
    fn explained_by(self, tail: &str) -> Self {
        let unexplained = match &self {
            Self::Agent { exit } => !exit.is_verdict_on_work(),
            Self::AgentCrashed { .. } | Self::AgentKilled { .. } => true,
            _ => false,
        };
        let line = |words: &str| {
            let line = tail.lines().rev().take(50).find(|line| line.contains(words))?;
            Some(line.trim().chars().take(300).collect())
        };
        if !unexplained {
            return self;
        }
        if let Some(said) = line(NO_SPACE) {
            return Self::NoSpace { said };
        }
        match NO_PROCESS.into_iter().find_map(line) {
            Some(said) => Self::PidsLimit { said },
            None => self,
        }
    }

    /// The cause in one word, for programs. It never changes its meaning.
    pub(crate) const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The same as a value.
    pub(crate) const fn kind(&self) -> CauseKind {
        match self {
            Self::Agent { .. } => CauseKind::Agent,
            Self::AgentCrashed { .. } => CauseKind::AgentCrashed,
            Self::AgentKilled { .. } => CauseKind::AgentKilled,
            Self::OutOfMemory => CauseKind::OutOfMemory,
            Self::NotStarted { .. } => CauseKind::NotStarted,
            Self::ForgeToken { .. } => CauseKind::ForgeToken,
            Self::ImageMissing { .. } => CauseKind::ImageMissing,
            Self::NoSpace { .. } => CauseKind::NoSpace,
            Self::DiskLimit { .. } => CauseKind::DiskLimit,
            Self::PidsLimit { .. } => CauseKind::PidsLimit,
            Self::EngineLost { .. } => CauseKind::EngineLost,
            Self::ContainerGone => CauseKind::ContainerGone,
            Self::KeeperGone => CauseKind::KeeperGone,
            Self::AdoptedGone => CauseKind::AdoptedGone,
            Self::Deadline { .. } => CauseKind::Deadline,
            Self::Stalled { .. } => CauseKind::Stalled,
            Self::GatewayLost => CauseKind::GatewayLost,
            Self::Cancelled => CauseKind::Cancelled,
            Self::Interrupted => CauseKind::Interrupted,
            Self::Unreadable { .. } => CauseKind::Unreadable,
            Self::NotRecorded { .. } => CauseKind::NotRecorded,
            Self::Internal { .. } => CauseKind::Internal,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Failed(cause) => write!(f, "failed: {cause}"),
            Self::Parked(Pause { until: Some(until) }) => write!(f, "parked until {until}"),
            Self::Parked(Pause { until: None }) => f.write_str("parked"),
            Self::Superseded => f.write_str("superseded: the app gave it to someone else"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { exit } => write!(f, "{} (exit {})", exit.describe(), exit.code()),
            Self::AgentCrashed { code } => {
                write!(f, "the agent crashed: exit code {code} is none of its own")
            }
            Self::AgentKilled { signal: 9 } => f.write_str(
                "signal 9 ended the agent, and the engine does not say why: someone, or the kernel \
                 for want of memory (AGENT_MEMORY)",
            ),
            Self::AgentKilled { signal } => write!(f, "signal {signal} ended the agent"),
            Self::OutOfMemory => f.write_str(
                "out of memory: the kernel ended the agent or what it had started (AGENT_MEMORY)",
            ),
            Self::NotStarted { problem } => write!(f, "could not be started: {problem}"),
            Self::ForgeToken { problem } => {
                write!(f, "no token of the forge could be had: {problem}")
            }
            Self::ImageMissing { problem } => {
                write!(f, "could not be started for want of an image: {problem}")
            }
            Self::NoSpace { said } => write!(f, "no space left on a disk: {said}"),
            Self::DiskLimit { limit_mib } => write!(
                f,
                "it was stopped: it took more than {limit_mib} MiB of disk space (AGENT_DISK)"
            ),
            Self::PidsLimit { said } => {
                write!(f, "no process could be started any more (AGENT_PIDS): {said}")
            }
            Self::EngineLost { code } => {
                write!(
                    f,
                    "the Docker Engine stopped while the agent ran, and ended it (exit {code})"
                )
            }
            Self::AdoptedGone => {
                f.write_str("while the coordinator was away the agent ended, and nothing tells how")
            }
            Self::Deadline { limit_sec } => {
                write!(f, "it was stopped at its deadline, after {limit_sec} s (JOB_TIMEOUT)")
            }
            Self::Stalled { limit_sec } => write!(
                f,
                "it was stopped: it had printed nothing for {limit_sec} s (STALL_TIMEOUT)"
            ),
            Self::GatewayLost => f.write_str(
                "it was stopped: the gateway beside its container had ended, and with it the way to \
                 the network or the model",
            ),
            Self::Cancelled => f.write_str("cancelled, as the app asked"),
            Self::ContainerGone => {
                f.write_str("its container was removed by someone else before its end was seen")
            }
            Self::KeeperGone => f.write_str(
                "its keeper on this host was ended by someone else, and so the agent was",
            ),
            Self::Interrupted => f.write_str("the coordinator was stopped before the job ended"),
            Self::Unreadable { problem } => write!(f, "the claimed job cannot be read: {problem}"),
            Self::NotRecorded { problem } => write!(f, "the claim was not recorded: {problem}"),
            Self::Internal { problem } => write!(f, "defect of the coordinator: {problem}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exit(code: i64) -> ExitFacts {
        ExitFacts { code, ..ExitFacts::default() }
    }

    #[test]
    fn only_the_delivered_exit_completes_a_job() {
        assert_eq!(Outcome::of_exit(&exit(0)), Outcome::Completed);
        for ending in AgentExit::ALL.into_iter().skip(1) {
            let outcome = Outcome::of_exit(&exit(i64::from(ending.code())));
            let cause = match ending {
                AgentExit::Cancelled => Cause::Cancelled,
                AgentExit::OutOfMemory => Cause::OutOfMemory,
                AgentExit::ProcessLimit => continue,
                AgentExit::Parked => {
                    assert_eq!(outcome, Outcome::Parked(Pause::default()));
                    continue;
                }
                exit => Cause::Agent { exit },
            };
            assert_eq!(outcome, Outcome::Failed(cause));
        }
    }

    #[test]
    fn a_bare_137_is_never_the_reason() {
        let killed = Outcome::of_exit(&exit(137)).to_string();
        assert!(killed.starts_with("failed: signal 9 ended the agent"), "{killed}");
        let facts = ExitFacts { out_of_memory: true, ..exit(137) };
        assert_eq!(Outcome::of_exit(&facts), Outcome::Failed(Cause::OutOfMemory));
    }

    #[test]
    fn the_last_words_explain_a_number_and_nothing_that_is_explained() {
        let full = "one\nerror: write x: No space left on device (os error 28)\n";
        let outcome = Outcome::of_exit(&exit(4)).explained_by(full);
        assert!(matches!(outcome, Outcome::Failed(Cause::NoSpace { .. })), "{outcome}");
        let forks = "sh: 1: Cannot fork\n";
        let outcome = Outcome::of_exit(&exit(2)).explained_by(forks);
        assert!(matches!(outcome, Outcome::Failed(Cause::PidsLimit { .. })), "{outcome}");
        let cancelled = Outcome::Failed(Cause::Cancelled);
        assert_eq!(cancelled.clone().explained_by(full), cancelled);
        for verdict in [9, 15, 16].map(|code| Outcome::of_exit(&exit(code))) {
            assert_eq!(verdict.clone().explained_by(full), verdict);
            assert_eq!(verdict.clone().explained_by(forks), verdict);
        }
    }

    proptest! {
        #[test]
        fn every_exit_code_has_exactly_one_outcome_that_survives_the_disk(code in any::<i64>(), oom: bool) {
            let facts = ExitFacts { code, out_of_memory: oom, error: String::new() };
            let outcome = Outcome::of_exit(&facts);
            prop_assert_eq!(outcome == Outcome::Completed, code == 0);
            prop_assert_eq!(outcome.clone().explained_by("No space left on device") == Outcome::Completed, code == 0);
            let text = serde_json::to_string(&outcome).unwrap();
            prop_assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        }
    }
}
