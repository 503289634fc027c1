//! Whether the claim loop goes on. It says so each time it comes round, and while it waits for something
//! that may take long; between two such signs is no more than [`STUCK`], or it hangs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// A round has no step between two signs that takes this long: each call has a time limit, and a whole
/// rehearsal of a start has a few of them.
const STUCK: Duration = Duration::from_secs(900);

/// While it waits, the loop gives a sign this often.
const SIGN: Duration = Duration::from_secs(15);

/// When the claim loop last gave a sign; none while there is no loop.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// The loop goes on.
    pub(crate) fn beats(&self) {
        *self.last() = Some(Instant::now());
    }

    /// There is no loop any more: nothing is claimed until the end.
    pub(crate) fn rests(&self) {
        *self.last() = None;
    }

    /// Waits for something that may take as long as it likes.
    pub(crate) async fn while_waiting<T>(&self, wait: impl Future<Output = T>) -> T {
        tokio::pin!(wait);
        loop {
            self.beats();
            if let Ok(done) = timeout(SIGN, &mut wait).await {
                self.beats();
                return done;
            }
        }
    }

    /// For how long the loop has given no sign, if that is too long.
    pub(crate) fn stuck(&self) -> Option<Duration> {
        let since = self.last().as_ref().map(Instant::elapsed)?;
        (since > STUCK).then_some(since)
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_no_hang_and_a_long_silence_is_one() {
        let pulse = Pulse::default();
        advance(STUCK * 2).await;
        assert_eq!(pulse.stuck(), None, "there is no loop yet");
        pulse.while_waiting(sleep(STUCK * 10)).await;
        assert_eq!(pulse.stuck(), None);
        advance(STUCK + SIGN).await;
        assert_eq!(pulse.stuck(), Some(STUCK + SIGN));
        pulse.beats();
        assert_eq!(pulse.stuck(), None);
        pulse.rests();
        advance(STUCK * 2).await;
        assert_eq!(pulse.stuck(), None, "the jobs are waited for at the end");
    }
}
