//! Why there is no Director, or no word of it.

use std::time::Duration;

use super::answer::Fault;
use crate::model_gateway::Exhausted;

/// The Director could not do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectorError {
    /// A key can be no header's value.
    #[error("{name} has characters that cannot be sent; it must be one line of plain ASCII")]
    Key {
        /// The setting.
        name: &'static str,
    },
    /// There is no HTTP client.
    #[error("the Director's model cannot be called")]
    Client(#[source] reqwest::Error),
    /// No model answered.
    #[error(
        "the Director's model gives no answer; check AGENT_LLM_URL, AGENT_MODEL and AGENT_API_KEY ({})",
        failures.join("; ")
    )]
    NoAnswer {
        /// What each of them said, with its name.
        failures: Vec<String>,
    },
    /// No model answered, and one of them named the time for which its limit holds.
    #[error(
        "the Director's model is limited for another {} s ({})",
        wait.as_millis().div_ceil(1_000),
        failures.join("; ")
    )]
    Limited {
        /// How long it holds.
        wait: Duration,
        /// What each of them said, with its name.
        failures: Vec<String>,
    },
    /// A model answered, and not what was asked for.
    #[error(
        "the Director's answers cannot be used, after {repairs} requests for another one: {fault}"
    )]
    Unusable {
        /// How often another one was asked for.
        repairs: usize,
        /// What is wrong with the last one.
        fault: Fault,
    },
    /// The job's budget is used up.
    #[error("the budget of this job is used up: {0}")]
    Budget(Exhausted),
    /// The run is to end.
    #[error("the Director was told to stop")]
    Cancelled,
}
