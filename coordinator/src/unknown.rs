//! When an app is believed that it does not know what it is asked about. A 404 without the app's words
//! may be that of a proxy while the app behind it is away, and the original app has no words for one.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use api_client::ApiError;

/// In its own words the app is believed when it has said so this often.
const TRIES: u32 = 5;

/// Without them, when nothing else was said for this long.
const PATIENCE: Duration = Duration::from_secs(1800);

/// How long the app has said nothing but 404. Any other answer begins anew.
#[derive(Debug, Default)]
pub(crate) struct Unknown {
    in_its_words: u32,
    since: Option<Instant>,
}

impl Unknown {
    /// Notes one more; breaks when it is to be believed.
    pub(crate) fn again(&mut self, error: &ApiError, now: Instant) -> ControlFlow<()> {
        self.in_its_words += u32::from(error.is_unknown_to_the_app());
        let since = *self.since.get_or_insert(now);
        let believed =
            self.in_its_words == TRIES || now.saturating_duration_since(since) >= PATIENCE;
        if believed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use api_client::Call;

    use super::*;

    fn gone(message: &str) -> ApiError {
        let call = Call { method: "POST", path: "/api/worker/jobs/J/complete".to_owned() };
        ApiError::Gone { call, message: message.to_owned() }
    }

    #[test]
    fn a_proxys_404_is_believed_after_half_an_hour_and_the_apps_own_after_five() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        let (soon, late) = (now + PATIENCE / 2, now + PATIENCE);
        for at in [now, soon, soon, soon, soon, soon, soon] {
            assert!(unknown.again(&gone(""), at).is_continue());
        }
        assert!(unknown.again(&gone(""), late).is_break());
        let mut unknown = Unknown::default();
        for _ in 1..TRIES {
            assert!(unknown.again(&gone("Job not found"), now).is_continue());
        }
        assert!(unknown.again(&gone("Job not found"), now).is_break());
    }
}
