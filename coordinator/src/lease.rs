//! Keeping the leases of the jobs that we hold, where the app offers such: whoever does not renew one
//! in time loses the job to someone else, and must not publish or report it any more.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api_client::wire::Lease;
use api_client::{ApiError, JobId};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::ledger::Record;
use crate::metrics::Retry;

/// A lease is renewed this often while it holds.
const RENEWALS: u32 = 3;

/// After a renewal that failed, the next follows this soon: the app counts on.
const RETRY: Duration = Duration::from_secs(2);

/// The job counts as gone when the app has said this often, in its own words, that it does not know it.
/// A proxy says 404 without such words while the app behind it is away; that is no answer at all.
const NOT_FOUND_TRIES: u32 = 5;

/// The leases of one coordinator.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<JobId, Arc<Held>>>,
    changed: Notify,
}

/// One lease. It counts as held until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldLease {
    leases: Arc<Leases>,
    job: JobId,
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    term: Option<Duration>,
    confirmed: Mutex<Option<Instant>>,
    superseded: CancellationToken,
}

impl Leases {
    /// Takes up the lease of a job, if it has one. `confirmed` is when the app last said that it
    /// holds.
    pub(crate) fn hold(self: &Arc<Self>, record: &Record, confirmed: Option<Instant>) -> HeldLease {
        let held = Arc::new(Held {
            term: record.lease.map(|lease| Duration::from_secs(lease.lease_sec.max(1))),
            confirmed: Mutex::new(confirmed),
            superseded: CancellationToken::new(),
        });
        let job = record.job.job_id;
        self.all().insert(job, Arc::clone(&held));
        HeldLease { leases: Arc::clone(self), job, held }
    }

    /// Cancelled when the job is another's.
    pub(crate) fn superseded(&self, job: JobId) -> CancellationToken {
        self.all().get(&job).map(|held| held.superseded.clone()).unwrap_or_default()
    }

    /// Returns when the app has confirmed every lease lately. While it has not, a claim could bring a
    /// job that we hold ourselves.
    pub(crate) async fn confirmed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.all().values().all(|held| held.is_confirmed()) {
                return;
            }
            changed.await;
        }
    }

    /// Whether the app has confirmed the lease of a job lately, or there is none.
    pub(crate) fn is_confirmed(&self, job: JobId) -> bool {
        self.all().get(&job).is_none_or(|held| held.is_confirmed())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_confirmed(&self) -> bool {
        let Some(term) = self.term else { return true };
        let confirmed = *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        self.superseded.is_cancelled() || confirmed.is_some_and(|at| at.elapsed() < term * 2 / 3)
    }

    fn confirm(&self, at: Instant) {
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let mut all = self.leases.all();
        // The app may have given the job to us again by now.
        if all.get(&self.job).is_some_and(|held| Arc::ptr_eq(held, &self.held)) {
            all.remove(&self.job);
        }
        drop(all);
        self.leases.changed.notify_waiters();
    }
}

impl HeldLease {
    /// Renews the lease for ever; when the app says that the job is another's, it tells so by
    /// [`Leases::superseded`] and rests.
    pub(crate) async fn keep(&self, ctx: &Context, lease: Option<Lease>) -> Infallible {
        let Some(lease) = lease else { return pending().await };
        let period = Duration::from_secs(lease.lease_sec.max(1)) / RENEWALS;
        let mut wait = if self.held.is_confirmed() { period } else { Duration::ZERO };
        let mut not_found = 0;
        loop {
            sleep(wait).await;
            let asked = Instant::now();
            match ctx.api().renew_lease(self.job, lease.claim_id).await {
                Ok(()) => {
                    not_found = 0;
                    self.held.confirm(asked);
                    self.leases.changed.notify_waiters();
                    wait = period;
                }
                Err(error) => {
                    not_found += u32::from(error.is_unknown_to_the_app());
                    let is_over = matches!(error, ApiError::Refused { status: 409, .. });
                    if is_over || not_found == NOT_FOUND_TRIES {
                        tracing::warn!(job.id = %self.job, %error, "the job is no longer ours");
                        self.held.superseded.cancel();
                        self.leases.changed.notify_waiters();
                        return pending().await;
                    }
                    tracing::debug!(job.id = %self.job, %error, "lease not renewed");
                    ctx.board.retried(Retry::Lease);
                    wait = RETRY.min(period);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api_client::ClaimId;

    use super::*;
    use crate::ledger::JobRef;

    #[test]
    fn the_end_of_a_jobs_earlier_life_lets_go_of_its_own_lease_alone() {
        let leases = Arc::new(Leases::default());
        let lease = Lease { claim_id: ClaimId::random(), lease_sec: 90 };
        let record = Record::claimed(JobRef::unreadable(JobId::random()), Some(lease), 1);
        let job = record.job.job_id;
        let earlier = leases.hold(&record, Some(Instant::now()));
        let later = leases.hold(&record, None);
        drop(earlier);
        assert!(!leases.is_confirmed(job));
        later.held.superseded.cancel();
        assert!(leases.superseded(job).is_cancelled());
        drop(later);
        assert!(leases.is_confirmed(job));
    }
}
