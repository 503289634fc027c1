//! What the app is told of a run at its hooks: that it began, turns, tools, errors, that it delivered. The
//! steps in the ticket's log are beside it.
//!
//! Invariants: nothing waits for it but the end of a run, and that no longer than [`END_LIMIT`]; what the
//! queue has no room for, or the app does not take, is lost without a word to people; an app that does not
//! know the call (404), as the original one, is not asked again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api_client::wire::{Checkpoint, Hook};
use api_client::{ApiError, WorkerApi};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::settings::AppTicket;

/// Checkpoints that wait to be posted.
const QUEUE_MAX: usize = 64;

/// Checkpoints in one request.
const BATCH_MAX: usize = 32;

/// Tools are told of no more often than this.
const TOOL_EVERY: Duration = Duration::from_secs(5);

/// How long the end of a run waits for what is not posted yet.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Where a run tells of its checkpoints; copies share it. Without an app nothing comes of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints(Arc<Mutex<Way>>);

#[derive(Debug, Default)]
struct Way {
    queue: Option<mpsc::Sender<Checkpoint>>,
    posting: Option<AbortOnDropHandle<()>>,
    last_tool: Option<Instant>,
}

impl Checkpoints {
    /// From now on they are posted to the log of this ticket.
    pub(crate) fn post_to(&self, api: WorkerApi, at: &AppTicket, session: String) {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let posting = tokio::spawn(post(api, at.clone(), session, queue));
        let mut way = self.way();
        way.queue = Some(sender);
        way.posting = Some(AbortOnDropHandle::new(posting));
    }

    /// Tells of one. It must be without any known secret.
    pub(crate) fn tell(&self, checkpoint: Checkpoint) {
        let mut way = self.way();
        if checkpoint.hook == Hook::Tool && !way.is_time_for_tool(Instant::now()) {
            return;
        }
        if let Some(queue) = &way.queue {
            // Full, or closed by an app that takes none.
            let _lost = queue.try_send(checkpoint);
        }
    }

    /// Posts what is left.
    pub(crate) async fn end(&self) {
        let posting = {
            let mut way = self.way();
            way.queue = None;
            way.posting.take()
        };
        if let Some(posting) = posting
            && timeout(END_LIMIT, posting).await.is_err()
        {
            tracing::debug!("the last checkpoints are lost: the app is too slow");
        }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    fn is_time_for_tool(&mut self, now: Instant) -> bool {
        let due = self.last_tool.is_none_or(|last| now.duration_since(last) >= TOOL_EVERY);
        if due {
            self.last_tool = Some(now);
        }
        due
    }
}

/// Posts what comes, several at once where the app is slower than the run.
async fn post(
    api: WorkerApi,
    at: AppTicket,
    session: String,
    mut queue: mpsc::Receiver<Checkpoint>,
) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        match api.post_checkpoints(at.project, at.ticket, &session, &batch).await {
            Ok(()) => {}
            Err(ApiError::Gone { .. }) => {
                tracing::debug!("the app takes no checkpoints");
                return;
            }
            Err(error) => tracing::debug!(%error, "checkpoints are lost"),
        }
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_told_of_once_in_five_seconds() {
        let (mut way, begun) = (Way::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let told: Vec<u64> = (0..12).filter(|s| way.is_time_for_tool(at(*s))).collect();
        assert_eq!(told, [0, 5, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_run_waits_for_a_second_and_no_longer() {
        let (checkpoints, begun) = (Checkpoints::default(), tokio::time::Instant::now());
        let never = tokio::spawn(std::future::pending());
        checkpoints.way().posting = Some(AbortOnDropHandle::new(never));
        checkpoints.end().await;
        assert_eq!(begun.elapsed(), END_LIMIT);
    }

    #[tokio::test]
    async fn without_an_app_nothing_is_waited_for() {
        let checkpoints = Checkpoints::default();
        let note = String::new();
        checkpoints.tell(Checkpoint { hook: Hook::Start, turn: None, note, tokens: 0 });
        timeout(Duration::from_millis(100), checkpoints.end()).await.unwrap();
    }
}
