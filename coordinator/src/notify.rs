//! Saying what the coordinator is doing: to the service manager's status line always, to the log
//! when it changes.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use api_client::{ApiError, error_chain};
use sd_notify::NotifyState;

use crate::readiness::NotReady;

/// How busy the coordinator is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) used: usize,
    pub(crate) slots: usize,
    /// Agents on the host, without isolation.
    pub(crate) host_runs: usize,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} slots in use", self.used, self.slots)?;
        if self.host_runs > 0 {
            write!(f, ", {} on the host WITHOUT isolation", self.host_runs)?;
        }
        Ok(())
    }
}

/// What was said last.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// The kind of the reason for which nothing is claimed, if any.
    trouble: Option<String>,
    /// That for which some projects are not asked for, as it was said last.
    left_out: Option<String>,
}

impl Status {
    /// The start is over.
    pub(crate) fn ready(&mut self) {
        tell(NotifyState::Ready, "waiting for jobs");
        tracing::info!("ready");
    }

    /// Nothing waits in the app.
    pub(crate) fn idle(&mut self, load: Load) {
        self.recovered();
        tell(NotifyState::Ready, &format!("{load}, no job waits"));
    }

    /// A job was claimed.
    pub(crate) fn working(&mut self, load: Load) {
        self.recovered();
        tell(NotifyState::Ready, &load.to_string());
    }

    /// Nothing waits of the projects that are asked for, and some are not; said once for each reason.
    pub(crate) fn left_out(&mut self, load: Load, reason: &NotReady) {
        self.recovered();
        let text = format!("not asked for the jobs of a project: {}", error_chain(reason));
        if self.left_out.as_ref() != Some(&reason.key()) {
            tracing::warn!("{text}");
            self.left_out = Some(reason.key());
        }
        tell(NotifyState::Ready, &format!("{load}, no other job waits; {text}"));
    }

    /// Nothing may be claimed; said once for each reason, however its details change.
    pub(crate) fn held(&mut self, reason: &NotReady) {
        self.say_once("nothing is claimed", reason.key(), reason);
    }

    /// The app does not answer as it should; said once for each reason, however its details change.
    pub(crate) fn trouble(&mut self, reason: &ApiError) {
        let key = match reason {
            ApiError::Unreachable { call, .. } => call.to_string(),
            ApiError::Busy { .. }
            | ApiError::Unauthorised { .. }
            | ApiError::Gone { .. }
            | ApiError::Refused { .. }
            | ApiError::Malformed { .. } => reason.to_string(),
        };
        self.say_once("no answer to a claim", key, reason);
    }

    /// The operator wants nothing to be claimed.
    pub(crate) fn closed(&mut self, why: &str) {
        if self.trouble.as_deref() != Some(why) {
            tracing::info!("{why}");
            tell(NotifyState::Ready, why);
            self.trouble = Some(why.to_owned());
        }
    }

    /// The end begins.
    pub(crate) fn stopping(&mut self, how: &str) {
        tell(NotifyState::Stopping, how);
        tracing::info!("{how}");
    }

    /// Jobs are waited for at the end; the service manager is asked for this much more time.
    pub(crate) fn draining(&self, jobs: usize, patience: Duration) {
        let text = format!("{jobs} jobs still run");
        tracing::info!("{text}");
        let micros = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
        tell(NotifyState::ExtendTimeoutUsec(micros), &text);
    }

    /// Whether nothing can be claimed at present.
    pub(crate) const fn in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    fn say_once(&mut self, what: &str, key: String, reason: &dyn Error) {
        if self.trouble.as_ref() == Some(&key) {
            return;
        }
        let text = format!("{what}: {}", error_chain(reason));
        tracing::warn!("{text}");
        tell(NotifyState::Ready, &text);
        self.trouble = Some(key);
    }

    fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("claiming again");
        }
    }
}

/// Within which time the service manager's watchdog wants to be fed, where there is one.
pub(crate) fn watchdog_time() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|time| !time.is_zero())
}

/// Feeds it.
pub(crate) fn feed_watchdog() {
    // Without a service manager there is no one to tell.
    let _unheard = sd_notify::notify(&[NotifyState::Watchdog]);
}

fn tell(state: NotifyState<'_>, status: &str) {
    // Without a service manager there is no one to tell.
    let _unheard = sd_notify::notify(&[state, NotifyState::Status(status)]);
}
