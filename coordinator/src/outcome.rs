//! From exit facts to an outcome. Pure: no clock, no I/O.

use std::fmt;

use api_client::contract::AgentExit;
use serde::{Deserialize, Serialize};

use crate::engine::ExitFacts;

/// How a job ended, as the app is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The agent delivered.
    Completed,
    /// It did not.
    Failed(Cause),
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
    /// The container was removed by someone else before its end was seen.
    ContainerGone,
    /// The coordinator stopped between the claim and the start, or while the job ran on the host.
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
            Some(exit) => Cause::Agent { exit },
            None if facts.out_of_memory => Cause::OutOfMemory,
            None if (129..=192).contains(&facts.code) => {
                Cause::AgentKilled { signal: facts.code - 128 }
            }
            None => Cause::AgentCrashed { code: facts.code },
        };
        Self::Failed(cause)
    }

    /// Whether the job failed.
    pub(crate) const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Failed(cause) => write!(f, "failed: {cause}"),
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
            Self::AgentKilled { signal } => write!(f, "signal {signal} ended the agent"),
            Self::OutOfMemory => f.write_str("out of memory: the kernel ended the agent"),
            Self::NotStarted { problem } => write!(f, "could not be started: {problem}"),
            Self::ContainerGone => {
                f.write_str("its container was removed by someone else before its end was seen")
            }
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
            assert_eq!(outcome, Outcome::Failed(Cause::Agent { exit: ending }));
        }
    }

    #[test]
    fn a_bare_137_is_never_the_reason() {
        let killed = Outcome::of_exit(&exit(137));
        assert_eq!(killed.to_string(), "failed: signal 9 ended the agent");
        let facts = ExitFacts { out_of_memory: true, ..exit(137) };
        assert_eq!(Outcome::of_exit(&facts), Outcome::Failed(Cause::OutOfMemory));
    }

    proptest! {
        #[test]
        fn every_exit_code_has_exactly_one_outcome_that_survives_the_disk(code in any::<i64>(), oom: bool) {
            let facts = ExitFacts { code, out_of_memory: oom, error: String::new() };
            let outcome = Outcome::of_exit(&facts);
            prop_assert_eq!(outcome == Outcome::Completed, code == 0);
            let text = serde_json::to_string(&outcome).unwrap();
            prop_assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        }
    }
}
