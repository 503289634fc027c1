//! Notifications to a webhook: of jobs that ended, of what someone has to mend, of drains.
//!
//! Invariants: telling waits for nothing, since notifications go to a queue with an end; the end of a job
//! is told once while the process lives. The queue is in memory: what has not been delivered when the
//! process ends is lost, except the end of a job that the app does not know yet, which the next start
//! tells again under the same id.

mod alarms;
mod deliver;
mod payload;
mod signature;

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{NotifyConfig, NotifyOn};
use crate::context::Context;
use crate::job::Finished;
use crate::ledger::Record;
use crate::outcome::Outcome;

pub(crate) use alarms::watch;

/// Most notifications that wait to be delivered.
const QUEUE: usize = 100;

/// Something that people are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A job ended.
    JobEnded(Box<JobEnd>),
    /// Something that someone has to mend.
    Raised { key: String, text: String },
    /// It is mended.
    Cleared { key: String, text: String },
    /// Nothing is claimed any more.
    Draining { jobs: usize },
    /// The last job of a drain has ended.
    Drained,
}

/// A job that ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobEnd {
    pub(crate) record: Record,
    pub(crate) outcome: Outcome,
    /// In seconds since 1970.
    pub(crate) ended_at: u64,
}

impl Event {
    /// Whether an operator who wants this to be told wants this event.
    fn is_wanted(&self, config: &NotifyConfig) -> bool {
        let wants = |on| config.on.contains(&on);
        match self {
            Self::JobEnded(end) => {
                wants(NotifyOn::JobEnded)
                    || (end.outcome.is_failure() && wants(NotifyOn::JobFailed))
            }
            Self::Raised { .. } | Self::Cleared { .. } => wants(NotifyOn::Alarm),
            Self::Draining { .. } | Self::Drained => wants(NotifyOn::Drain),
        }
    }
}

/// Takes events.
#[derive(Debug)]
pub(crate) struct Notifier {
    queue: mpsc::Sender<Event>,
    /// For the one task that delivers them.
    work: Mutex<Option<mpsc::Receiver<Event>>>,
}

impl Default for Notifier {
    fn default() -> Self {
        let (queue, events) = mpsc::channel(QUEUE);
        Self { queue, work: Mutex::new(Some(events)) }
    }
}

impl Notifier {
    /// Tells what an operator wants to be told.
    pub(crate) fn tell(&self, config: &NotifyConfig, event: Event) {
        if config.webhook.is_none() || !event.is_wanted(config) {
            return;
        }
        if self.queue.try_send(event).is_err() {
            tracing::warn!("a notification is left out: {QUEUE} wait to be delivered");
        }
    }

    /// Tells the end of a job.
    pub(crate) fn job_ended(&self, config: &NotifyConfig, finished: &Finished, ended_at: u64) {
        let (record, outcome) = (finished.record.clone(), finished.outcome.clone());
        self.tell(config, Event::JobEnded(Box::new(JobEnd { record, outcome, ended_at })));
    }
}

/// Delivers what comes, until `end`; then what is left, each in one try.
pub(crate) async fn run(ctx: &Context, end: &CancellationToken) {
    let work = ctx.notifier.work.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(events) = work {
        deliver::run(ctx, events, end).await;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use api_client::JobId;

    use super::*;
    use crate::ledger::JobRef;
    use crate::outcome::Cause;

    pub(super) fn job_end(outcome: Outcome) -> JobEnd {
        let record = Record::claimed(JobRef::unreadable(JobId::random()), None, 40);
        JobEnd { record, outcome, ended_at: 100 }
    }

    fn config(on: &[NotifyOn], webhook: Option<&str>) -> NotifyConfig {
        let webhook = webhook.map(Into::into);
        NotifyConfig { webhook, on: on.iter().copied().collect(), secret: None }
    }

    #[test]
    fn only_what_is_wanted_is_told_and_nothing_without_a_webhook() {
        let failed = Outcome::Failed(Cause::Stalled { limit_sec: 1 });
        let count = |config: &NotifyConfig| {
            let notifier = Notifier::default();
            for outcome in [Outcome::Completed, failed.clone()] {
                notifier.tell(config, Event::JobEnded(Box::new(job_end(outcome))));
            }
            notifier.tell(config, Event::Drained);
            QUEUE - notifier.queue.capacity()
        };
        let hook = Some("http://hook.example");
        assert_eq!(count(&config(&[NotifyOn::JobFailed], hook)), 1);
        assert_eq!(count(&config(&[NotifyOn::JobEnded], hook)), 2);
        assert_eq!(count(&config(&[NotifyOn::JobFailed, NotifyOn::JobEnded], hook)), 2);
        assert_eq!(count(&config(&[NotifyOn::Drain], hook)), 1);
        assert_eq!(count(&config(&[NotifyOn::JobEnded, NotifyOn::Drain], None)), 0);
    }

    #[test]
    fn a_full_queue_holds_up_no_one() {
        let notifier = Notifier::default();
        let config = config(&[NotifyOn::Drain], Some("http://hook.example"));
        (0..2 * QUEUE).for_each(|_| notifier.tell(&config, Event::Drained));
        assert_eq!(notifier.queue.capacity(), 0);
    }
}
