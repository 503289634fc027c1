//! Errors of the worker API, sorted by what the caller may do about them.

use std::fmt;
use std::time::Duration;

use crate::JobId;

/// A call of the worker API, as an operator would name it: `POST /api/worker/jobs/start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with that of the app's base URL.
    pub path: String,
}

impl Call {
    /// What is asked for, in one word that is the same for every job and ticket: the last part of the
    /// path (`start`, `heartbeat`, `settings`, …).
    #[must_use]
    pub fn operation(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A call that did not succeed, by remedy.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer: the app may or may not have acted. Try again later.
    #[error("{call}: the app did not answer ({problem})")]
    Unreachable {
        /// The call.
        call: Call,
        /// What went wrong on the way, in words, without the URL.
        problem: String,
    },
    /// The app answered that it cannot now: 429 or 5xx. Try again later.
    #[error("{call}: the app answered {status}{}", said(message))]
    Busy {
        /// The call.
        call: Call,
        /// HTTP status.
        status: u16,
        /// The app's own words, when it had any.
        message: String,
        /// How long the app asks to wait.
        retry_after: Option<Duration>,
    },
    /// 401 or 403. Trying again helps only after the key was mended.
    #[error(
        "{call}: the app answered {status}{}; check TERARCHITECT_WORKER_API_KEY",
        said(message)
    )]
    Unauthorised {
        /// The call.
        call: Call,
        /// HTTP status.
        status: u16,
        /// The app's own words.
        message: String,
    },
    /// 404: what the call names is not there.
    #[error("{call}: not found{}", said(message))]
    Gone {
        /// The call.
        call: Call,
        /// The app's own words.
        message: String,
    },
    /// Any other refusal (400, 409, 415, …): the same call will be refused again.
    #[error("{call}: the app refused with {status}{}", said(message))]
    Refused {
        /// The call.
        call: Call,
        /// HTTP status.
        status: u16,
        /// The app's own words.
        message: String,
    },
    /// A success whose body is not what the API promises.
    #[error("{call}: the answer cannot be read: {problem}")]
    Malformed {
        /// The call.
        call: Call,
        /// Field and reason.
        problem: String,
        /// The job that this answer has claimed all the same, where that could be read.
        job: Option<JobId>,
    },
}

impl ApiError {
    /// Whether the same call may succeed later with nothing mended.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    /// Whether the app itself says that it does not know what the call names. A 404 without the app's
    /// words can be that of a proxy in front of an app that is away.
    #[must_use]
    pub const fn is_unknown_to_the_app(&self) -> bool {
        matches!(self, Self::Gone { message, .. } if !message.is_empty())
    }

    /// Whether it is a 404 of which nobody can say whether the app itself said it.
    #[must_use]
    pub const fn is_wordless_not_found(&self) -> bool {
        matches!(self, Self::Gone { message, .. } if message.is_empty())
    }

    /// How long the app asked to wait, if it did.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL cannot have paths below it, or holds credentials.
    #[error("the app's URL {url} must be an http or https URL with a host and no credentials")]
    BaseUrl {
        /// The URL as given, without credentials.
        url: String,
    },
    /// The key cannot be sent in a header.
    #[error("the app's key holds a line break or another control character")]
    Key,
    /// The HTTP client could not be set up, most often for want of readable CA certificates.
    #[error("cannot set up HTTP; check the system's CA certificates")]
    Http(#[source] reqwest::Error),
}

/// An error and its causes in one line, each said once.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = cause.source();
    }
    words
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
