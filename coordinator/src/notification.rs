//! Notifications to a webhook: of jobs that ended, of what someone has to mend, of drains.
//!
//! Invariants: telling waits for nothing, since notifications go to queues with an end; alarms and drains
//! wait for no end of a job; the end of a job is told once while the process lives, and when it is known
//! whether the job was ours. The queues are in memory: what has not been delivered when the process ends is
//! lost, except the end of a job that the app does not know yet, which the next start tells again under the
//! same id.

mod alarms;
mod deliver;
mod payload;
mod queue;
mod signature;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use self::queue::Queue;
use crate::config::{NotifyConfig, NotifyOn};
use crate::context::Context;
use crate::gate::GateState;
use crate::history::ReportEnd;
use crate::job::Finished;
use crate::ledger::Record;
use crate::left_out::LeftOut;
use crate::outcome::Outcome;

pub(crate) use alarms::watch;

/// Something that people are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A job ended.
    JobEnded(Box<JobEnd>),
    /// Something that someone has to mend.
    Raised { key: String, text: String },
    /// It is mended.
    Cleared { key: String, text: String },
    /// Nothing is claimed any more, and so many jobs are left.
    Draining { jobs: usize, fate: Fate },
    /// The last of them has ended.
    Drained,
    /// The operator wants to go on after all; so the gate is now.
    DrainCancelled { gate: GateState },
    /// The operator wants to see one.
    Trial,
}

/// What becomes of the jobs of a coordinator that claims nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are waited for.
    Finished,
    /// Their agents are stopped.
    Stopped,
}

/// A job that ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobEnd {
    pub(crate) record: Record,
    pub(crate) outcome: Outcome,
    /// How its report ended; none where the app does not know of it yet.
    pub(crate) report: Option<ReportEnd>,
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
            Self::Trial => true,
            Self::Draining { .. } | Self::Drained | Self::DrainCancelled { .. } => {
                wants(NotifyOn::Drain)
            }
        }
    }
}

/// Takes events.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    /// Alarms and drains.
    urgent: Queue,
    /// Ends of jobs.
    ends: Queue,
    left_out: LeftOut,
    /// Alarms that nobody was told of, by their keys.
    undelivered: Mutex<BTreeSet<String>>,
}

impl Notifier {
    /// Tells what an operator wants to be told.
    pub(crate) fn tell(&self, config: &NotifyConfig, event: Event) {
        if config.webhook.is_none() || !event.is_wanted(config) {
            return;
        }
        let queue = match event {
            Event::JobEnded(_) => &self.ends,
            _ => &self.urgent,
        };
        self.left_out.add(queue.put(event));
    }

    /// Tells the end of a job. One that the app has given to another is superseded, whatever it came to.
    pub(crate) fn job_ended(
        &self,
        config: &NotifyConfig,
        finished: &Finished,
        report: Option<ReportEnd>,
        ended_at: u64,
    ) {
        let outcome = match report {
            Some(ReportEnd::NotOurs) => Outcome::Superseded,
            _ => finished.outcome.clone(),
        };
        let end = JobEnd { record: finished.record.clone(), outcome, report, ended_at };
        self.tell(config, Event::JobEnded(Box::new(end)));
    }

    /// This one was tried and not taken. An alarm is raised again while it stands.
    fn not_delivered(&self, event: Event) {
        self.left_out.add_told(1);
        if let Event::Raised { key, .. } = event {
            self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        }
    }

    /// The alarms that nobody was told of since this was asked last.
    fn take_undelivered(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.undelivered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many were not delivered since the start.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.all()
    }
}

/// Delivers what comes, until `end`; then what is left, each in one try.
pub(crate) async fn run(ctx: &Context, end: &CancellationToken) {
    let Notifier { urgent, ends, .. } = &ctx.notifier;
    tokio::join!(deliver::run(ctx, urgent, end), deliver::run(ctx, ends, end));
}

/// Sends the webhook one that says that it is a trial, in one try.
pub(crate) async fn trial(ctx: &Context) -> Result<(), String> {
    if ctx.config().notify.webhook.is_none() {
        return Err("NOTIFY_WEBHOOK_URL is not set".to_owned());
    }
    deliver::once(ctx, &Event::Trial).await
}

#[cfg(test)]
pub(super) mod tests {
    use api_client::JobId;

    use super::queue::MOST;
    use super::*;
    use crate::ledger::JobRef;
    use crate::outcome::Cause;

    pub(super) fn job_end(outcome: Outcome) -> JobEnd {
        let record = Record::claimed(JobRef::unreadable(JobId::random()), None, 40);
        JobEnd { record, outcome, report: None, ended_at: 100 }
    }

    fn config(on: &[NotifyOn], webhook: Option<&str>) -> NotifyConfig {
        let webhook = webhook.map(Into::into);
        NotifyConfig { webhook, on: on.iter().copied().collect(), secret: None }
    }

    #[test]
    fn an_alarm_that_was_not_delivered_is_known_once_as_that() {
        let notifier = Notifier::default();
        let alarm = Event::Raised { key: "outbox".to_owned(), text: "x".to_owned() };
        notifier.not_delivered(alarm);
        notifier.not_delivered(Event::Drained);
        assert_eq!(notifier.take_undelivered(), BTreeSet::from(["outbox".to_owned()]));
        assert!(notifier.take_undelivered().is_empty());
        assert_eq!(notifier.left_out(), 2);
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
            let next = || notifier.urgent.next_now().or_else(|| notifier.ends.next_now());
            std::iter::from_fn(next).count()
        };
        let hook = Some("http://hook.example");
        assert_eq!(count(&config(&[NotifyOn::JobFailed], hook)), 1);
        assert_eq!(count(&config(&[NotifyOn::JobEnded], hook)), 2);
        assert_eq!(count(&config(&[NotifyOn::JobFailed, NotifyOn::JobEnded], hook)), 2);
        assert_eq!(count(&config(&[NotifyOn::Drain], hook)), 1);
        assert_eq!(count(&config(&[NotifyOn::JobEnded, NotifyOn::Drain], None)), 0);
    }

    #[test]
    fn many_ends_hold_up_no_one_and_cost_the_oldest_of_them_and_no_alarm() {
        let notifier = Notifier::default();
        let config = config(&[NotifyOn::JobEnded, NotifyOn::Alarm], Some("http://hook.example"));
        let raised = Event::Raised { key: "outbox".into(), text: "x".into() };
        notifier.tell(&config, raised.clone());
        let ended_at = |ended_at| {
            Event::JobEnded(Box::new(JobEnd { ended_at, ..job_end(Outcome::Completed) }))
        };
        (0..2 * MOST as u64).for_each(|at| notifier.tell(&config, ended_at(at)));
        assert_eq!(notifier.urgent.next_now(), Some(raised));
        let left = std::iter::from_fn(|| notifier.ends.next_now());
        let left: Vec<_> = left
            .map(|event| match event {
                Event::JobEnded(end) => end.ended_at,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(left, (MOST as u64..2 * MOST as u64).collect::<Vec<_>>());
        assert_eq!(notifier.left_out(), MOST as u64);
    }

    #[test]
    fn a_job_that_is_another_s_by_now_is_told_as_superseded_whatever_it_came_to() {
        let notifier = Notifier::default();
        let config = config(&[NotifyOn::JobEnded], Some("http://hook.example"));
        let JobEnd { record, .. } = job_end(Outcome::Completed);
        let finished = Finished { record, outcome: Outcome::Completed, tail: String::new() };
        for report in [Some(ReportEnd::NotOurs), Some(ReportEnd::Acknowledged), None] {
            notifier.job_ended(&config, &finished, report, 7);
            let Some(Event::JobEnded(end)) = notifier.ends.next_now() else { panic!("{report:?}") };
            assert_eq!(end.outcome == Outcome::Superseded, report == Some(ReportEnd::NotOurs));
            assert_eq!(end.report, report);
        }
    }
}
