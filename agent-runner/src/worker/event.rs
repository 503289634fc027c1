//! What a coding CLI does in a turn, and how the turn ended: the same for every CLI.

use std::fmt;
use std::time::Duration;

use crate::model_gateway::Exhausted;

/// One event of a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// The CLI named its session, by which it can be resumed.
    Session(String),
    /// Text of the model.
    Text(String),
    /// A tool was used.
    Tool {
        /// The CLI's name of the tool.
        name: String,
        /// What it was used on: a path, a command.
        on: String,
    },
    /// A tool did not succeed, in the tool's words.
    ToolFailed(String),
    /// Tokens of one request, or of all, as the CLI counts them.
    Usage(Usage),
    /// A request to the model failed and is tried again.
    Retry(String),
    /// An error, in the CLI's words.
    Error(String),
    /// The CLI says that the turn is over.
    End,
    /// The CLI will not come to this end by itself, or not soon.
    Hopeless(Ending),
    /// An event of a kind that is not known, or no event at all.
    Unknown,
}

impl fmt::Display for Event {
    /// One entry of the transcript; nothing for what people do not read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Tool { name, on } => write!(f, "[{name}] {on}"),
            Self::ToolFailed(text) => write!(f, "[tool failed] {text}"),
            Self::Retry(text) => write!(f, "[retry] {text}"),
            Self::Error(text) => write!(f, "[error] {text}"),
            Self::Hopeless(ending) => write!(f, "[hopeless] {ending}"),
            Self::Session(_) | Self::Usage(_) | Self::End | Self::Unknown => Ok(()),
        }
    }
}

/// Tokens of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Read by the model, without those from its cache.
    pub(crate) input: u64,
    /// Read from the cache.
    pub(crate) cached: u64,
    /// Written by the model.
    pub(crate) output: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, cached, output } = self;
        write!(f, "tokens: {input} in, {cached} cached, {output} out")
    }
}

/// How a turn ended. Only [`Finished`](Self::Finished) is a success, and it says nothing about
/// whether anything was changed: git tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The CLI says that it is done.
    Finished,
    /// The model declined the work.
    Refused(String),
    /// The endpoint did not accept the key.
    AuthFailed(String),
    /// A quota or rate limit.
    RateLimited(String),
    /// The endpoint does not know the model, or is none of the kind the CLI speaks to.
    ModelUnavailable(String),
    /// Any other failure that the CLI reported.
    Failed(String),
    /// The CLI ended without a word.
    Crashed(String),
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
    /// One word for it, as the outcome of a run has it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Refused(_) => "refused",
            Self::AuthFailed(_) => "auth_failed",
            Self::RateLimited(_) => "rate_limited",
            Self::ModelUnavailable(_) => "model_unavailable",
            Self::Failed(_) => "failed",
            Self::Crashed(_) => "crashed",
            Self::TimedOut(_) => "timed_out",
            Self::Stalled(_) => "stalled",
            Self::BudgetExhausted(_) => "budget_exhausted",
            Self::Cancelled => "cancelled",
        }
    }

    /// The ending that an HTTP status of the model endpoint stands for.
    pub(crate) fn of_http_status(status: Option<u64>, message: String) -> Self {
        match status {
            Some(401 | 403) => Self::AuthFailed(message),
            Some(429) => Self::RateLimited(message),
            Some(404) => Self::ModelUnavailable(message),
            _ => Self::Failed(message),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Refused(why) => write!(f, "the model declined: {why}"),
            Self::AuthFailed(why) => {
                write!(f, "the model endpoint refused the key; check WORKER_API_KEY ({why})")
            }
            Self::RateLimited(why) => write!(f, "a quota or rate limit was reached ({why})"),
            Self::ModelUnavailable(why) => {
                write!(f, "no such model there; check WORKER_MODEL and WORKER_LLM_URL ({why})")
            }
            Self::Failed(why) => write!(f, "the coding CLI failed: {why}"),
            Self::Crashed(how) => write!(f, "the coding CLI ended without an answer: {how}"),
            Self::TimedOut(limit) => write!(
                f,
                "the turn was ended after {} s; WORKER_TIMEOUT_SEC allows no more",
                limit.as_secs()
            ),
            Self::Stalled(limit) => write!(
                f,
                "the coding CLI was silent for {} s; WORKER_STALL_SEC allows no more",
                limit.as_secs()
            ),
            Self::BudgetExhausted(how) => {
                write!(f, "the budget of this job is used up: {how}; nothing was published")
            }
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}
