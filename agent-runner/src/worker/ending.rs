//! How a turn of a coding CLI ended: a closed list, the same for every CLI.
//!
//! Invariant: what a CLI says of a failure only ever chooses among failures.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::words;
use crate::model_gateway::Exhausted;

/// How a turn ended. Only [`Finished`](Self::Finished) and [`HungAfterEnd`](Self::HungAfterEnd) are
/// successes, and they say nothing about whether anything was changed: git tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// The CLI says that it is done.
    Finished,
    /// The CLI said that it is done, and had to be ended.
    HungAfterEnd,
    /// The model declined the work, or its provider kept it from answering.
    Refused(String),
    /// The CLI waits for somebody to answer.
    NeedsInput(String),
    /// The endpoint did not accept the key.
    AuthFailed(String),
    /// A quota or rate limit.
    RateLimited {
        /// In the endpoint's words.
        why: String,
        /// How long it holds, where somebody said so.
        reset: Option<Duration>,
    },
    /// The endpoint gave no answer that the CLI could use: it does not know the model, is down, cannot be
    /// reached, or does not speak the CLI's protocol.
    ModelUnavailable(String),
    /// The work does not fit into what the model can read or write.
    ContextOverflow(String),
    /// Nothing that the model tried with the CLI's tools worked.
    ToolsBroken(String),
    /// The CLI ended without a word, or not as it says a turn ends.
    Crashed(String),
    /// A signal of somebody else ended the CLI.
    Killed(String),
    /// The turn took longer than allowed.
    TimedOut(Duration),
    /// The CLI was silent for longer than allowed.
    Stalled(Duration),
    /// The model's budget is used up, as its gateway says.
    BudgetExhausted(Exhausted),
    /// The run was cancelled.
    Cancelled,
}

impl Ending {
    /// The ending that an error of the model endpoint stands for. Without a status, one is looked for in
    /// the message.
    pub(crate) fn of_error(status: Option<u64>, message: String) -> Self {
        match status.or_else(|| words::status_in(&message)) {
            Some(401 | 403) => Self::AuthFailed(message),
            Some(402 | 429) => Self::rate_limited(message),
            Some(413) => Self::ContextOverflow(message),
            None | Some(400) if words::is_refusal(&message) => Self::Refused(message),
            _ if words::is_about_context(&message) => Self::ContextOverflow(message),
            None if words::is_about_key(&message) => Self::AuthFailed(message),
            None if words::is_about_quota(&message) => Self::rate_limited(message),
            _ => Self::ModelUnavailable(message),
        }
    }

    /// A limit whose end is in the message, if anywhere.
    fn rate_limited(why: String) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = words::reset_in(&why).map(Duration::from_secs);
        let until = until.map(|until| until.saturating_sub(now));
        let until = until.filter(|wait| *wait <= words::WAIT_MAX);
        Self::RateLimited { reset: words::wait_in(&why).or(until), why }
    }

    /// The ending with the time that a rate limit holds, where the CLI did not say it.
    pub(crate) fn with_reset(self, known: Option<Duration>) -> Self {
        match self {
            Self::RateLimited { why, reset } => Self::RateLimited { why, reset: reset.or(known) },
            other => other,
        }
    }

    /// Whether the CLI did what it wanted to.
    pub(crate) const fn is_finished(&self) -> bool {
        matches!(self, Self::Finished | Self::HungAfterEnd)
    }

    /// One word for machines.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::HungAfterEnd => "hung_after_end",
            Self::Refused(_) => "refused",
            Self::NeedsInput(_) => "needs_input",
            Self::AuthFailed(_) => "auth_failed",
            Self::RateLimited { .. } => "rate_limited",
            Self::ModelUnavailable(_) => "model_unavailable",
            Self::ContextOverflow(_) => "context_overflow",
            Self::ToolsBroken(_) => "tools_broken",
            Self::Crashed(_) => "crashed",
            Self::Killed(_) => "killed",
            Self::TimedOut(_) => "timed_out",
            Self::Stalled(_) => "stalled",
            Self::BudgetExhausted(_) => "budget_exhausted",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |limit: &Duration| limit.as_secs();
        match self {
            Self::Finished => f.write_str("finished"),
            Self::HungAfterEnd => f.write_str("finished, and had to be ended"),
            Self::Refused(why) => write!(f, "the model declined: {why}"),
            Self::NeedsInput(what) => write!(f, "the coding CLI waits for an answer: {what}"),
            Self::AuthFailed(why) => {
                write!(f, "the model endpoint refused the key; check WORKER_API_KEY ({why})")
            }
            Self::RateLimited { why, reset: None } => {
                write!(f, "a quota or rate limit was reached ({why})")
            }
            Self::RateLimited { why, reset: Some(wait) } => {
                let wait = seconds(wait);
                write!(f, "a quota or rate limit was reached, for another {wait} s ({why})")
            }
            Self::ModelUnavailable(why) => {
                write!(
                    f,
                    "the model is not available; check WORKER_MODEL and WORKER_LLM_URL ({why})"
                )
            }
            Self::ContextOverflow(why) => {
                write!(f, "the work is more than the model can read or write at once ({why})")
            }
            Self::ToolsBroken(why) => {
                write!(f, "the tools of the coding CLI did not work: {why}")
            }
            Self::Crashed(how) => write!(f, "the coding CLI ended without an answer: {how}"),
            Self::Killed(how) => write!(f, "the coding CLI was ended by somebody else: {how}"),
            Self::TimedOut(limit) => {
                let limit = seconds(limit);
                write!(f, "the turn was ended after {limit} s; WORKER_TIMEOUT_SEC allows no more")
            }
            Self::Stalled(limit) => {
                let limit = seconds(limit);
                write!(
                    f,
                    "the coding CLI was silent for {limit} s; WORKER_STALL_SEC allows no more"
                )
            }
            Self::BudgetExhausted(how) => {
                write!(f, "the budget of this job is used up: {how}")
            }
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(status: Option<u64>, message: &str) -> &'static str {
        Ending::of_error(status, message.to_owned()).name()
    }

    #[test]
    fn a_status_says_more_than_words() {
        assert_eq!(name(Some(401), "rate limit"), "auth_failed");
        assert_eq!(name(Some(403), ""), "auth_failed");
        assert_eq!(name(Some(429), "invalid api key"), "rate_limited");
        assert_eq!(name(Some(402), "insufficient credits"), "rate_limited");
        assert_eq!(name(Some(413), ""), "context_overflow");
        assert_eq!(name(Some(404), "no such model"), "model_unavailable");
        assert_eq!(name(Some(500), "quota"), "model_unavailable");
    }

    #[test]
    fn words_count_where_there_is_no_status() {
        assert_eq!(name(None, "unexpected status 401 Unauthorized: no"), "auth_failed");
        assert_eq!(name(None, "Incorrect API key provided"), "auth_failed");
        assert_eq!(name(None, "You exceeded your current quota"), "rate_limited");
        assert_eq!(name(Some(400), "Your prompt is too long"), "context_overflow");
        assert_eq!(name(None, "error sending request"), "model_unavailable");
    }

    #[test]
    fn a_limit_says_how_long_it_holds_where_somebody_knows() {
        let limited = Ending::of_error(Some(429), "Please try again in 20s.".to_owned());
        assert_eq!(
            limited.clone().with_reset(Some(Duration::from_secs(5))),
            limited,
            "what the CLI says counts more"
        );
        assert!(limited.to_string().contains("for another 20 s"), "{limited}");
        let limited = Ending::of_error(Some(429), "slow down".to_owned());
        let later = limited.with_reset(Some(Duration::from_secs(5)));
        assert!(later.to_string().contains("for another 5 s"), "{later}");
        assert_eq!(Ending::Finished.with_reset(Some(Duration::from_secs(5))), Ending::Finished);
    }

    #[test]
    fn only_an_end_that_the_cli_announced_is_a_success() {
        assert!(Ending::Finished.is_finished() && Ending::HungAfterEnd.is_finished());
        for ending in [
            Ending::Cancelled,
            Ending::Crashed(String::new()),
            Ending::Killed(String::new()),
            Ending::NeedsInput(String::new()),
            Ending::ToolsBroken(String::new()),
        ] {
            assert!(!ending.is_finished(), "{ending}");
        }
    }
}
