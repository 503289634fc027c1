//! What the tries of one job spent, noted while it is spent: a job that is killed and handed out again has the
//! budget that is left.
//!
//! Invariant: the note is of one job. Another job of the same ticket has an account of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api_client::{JobId, error_chain};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::model_gateway::{Account, Spent};
use crate::state::StateFolder;

const ACCOUNT: &str = "account.json";

/// How long to wait between two notes of what was spent: an answer that comes in pieces has many entries.
const PAUSE: Duration = Duration::from_secs(1);

/// How long without a call the time is not noted.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// What the tries of a job before this one spent.
#[derive(Debug, Default)]
pub(super) struct Spending {
    /// Where it is noted, for which job.
    place: Option<(Arc<StateFolder>, JobId)>,
    /// Nothing where this is the first try.
    before: Option<Noted>,
    /// Whether an outcome tells of all that was spent.
    is_told: Arc<AtomicBool>,
}

/// What all tries of a job spent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Noted {
    job: JobId,
    spent: Spent,
    /// How long the turns took, in seconds.
    seconds: u64,
}

/// Notes what is spent, for as long as it is held.
#[derive(Debug)]
pub(super) struct Watch {
    noting: Arc<Noting>,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// What a note is made of.
#[derive(Debug)]
struct Noting {
    folder: Arc<StateFolder>,
    job: JobId,
    account: Account,
    /// How long earlier tries took, and when this one began.
    before: Duration,
    began: Instant,
    is_told: Arc<AtomicBool>,
}

impl Spending {
    /// What was noted of this job. Where that cannot be read, or the job has no id, there is none.
    pub(super) fn open(folder: &Arc<StateFolder>, job: Option<JobId>) -> Self {
        let Some(job) = job else { return Self::default() };
        let before = folder.document::<Noted>(ACCOUNT).unwrap_or_else(|error| {
            tracing::warn!("what earlier tries spent is not known: {}", error_chain(&error));
            None
        });
        let before = before.filter(|noted| noted.job == job);
        Self { place: Some((Arc::clone(folder), job)), before, ..Self::default() }
    }

    /// With what the account begins.
    pub(super) fn spent(&self) -> Spent {
        self.before.map_or_else(Spent::default, |noted| noted.spent)
    }

    /// How much of the job's time is gone.
    pub(super) fn took(&self) -> Duration {
        Duration::from_secs(self.before.map_or(0, |noted| noted.seconds))
    }

    /// Writes down what is spent, from now on.
    pub(super) fn watch(&self, account: Account) -> Option<Watch> {
        let (folder, job) = self.place.clone()?;
        let (before, began) = (self.took(), Instant::now());
        let is_told = Arc::clone(&self.is_told);
        let noting = Arc::new(Noting { folder, job, account, before, began, is_told });
        let stop = CancellationToken::new();
        let task = tokio::spawn(follow(Arc::clone(&noting), stop.clone()));
        Some(Watch { noting, stop, task: AbortOnDropHandle::new(task) })
    }

    /// An outcome tells of all that was spent: it counts for the next try, which tells no more of it. So does a note
    /// that is still to be written.
    pub(super) fn told(&self) {
        let Some((folder, job)) = &self.place else { return };
        self.is_told.store(true, Ordering::SeqCst);
        let noted = || {
            let noted = folder.document::<Noted>(ACCOUNT)?;
            Ok(noted.filter(|noted| noted.job == *job))
        };
        let told = noted().and_then(|any| match any {
            None => Ok(()),
            Some(_) => folder.set_file(ACCOUNT, |file| {
                // Read again where nobody else writes.
                let last = noted().map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound)?;
                let told = Noted { spent: last.spent.once_told(), ..last };
                Ok(serde_json::to_writer(file, &told)?)
            }),
        });
        if let Err(error) = told {
            tracing::warn!("what was told is not noted: {}", error_chain(&error));
        }
    }

    /// Removes the note: the job came to its end.
    pub(super) fn forget(self) {
        let Some((folder, _)) = self.place else { return };
        if let Err(error) = folder.remove(ACCOUNT) {
            tracing::warn!("what was spent is left: {}", error_chain(&error));
        }
    }
}

impl Watch {
    /// Writes it down now.
    pub(super) async fn note(&self) {
        note(&self.noting).await;
    }

    /// Writes it down once more, and no further.
    pub(super) async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "what was spent last is not noted");
        }
    }
}

impl Noting {
    /// What is spent by now.
    fn noted(&self) -> Noted {
        let seconds = (self.before + self.began.elapsed()).as_secs();
        let spent = self.account.spent();
        let spent = if self.is_told.load(Ordering::SeqCst) { spent.once_told() } else { spent };
        Noted { job: self.job, spent, seconds }
    }
}

/// Notes each change, until it is told to stop.
async fn follow(noting: Arc<Noting>, stop: CancellationToken) {
    let mut changes = noting.account.changes();
    loop {
        let changed = timeout(QUIET_MAX, changes.changed());
        let last = stop.run_until_cancelled(changed).await.is_none();
        note(&noting).await;
        if last {
            return;
        }
        stop.run_until_cancelled(sleep(PAUSE)).await;
    }
}

async fn note(noting: &Arc<Noting>) {
    let noting = Arc::clone(noting);
    let write = move || {
        let content = |file: &mut _| Ok(serde_json::to_writer(file, &noting.noted())?);
        noting.folder.set_file(ACCOUNT, content)
    };
    if let Ok(Err(error)) = spawn_blocking(write).await {
        tracing::warn!("what was spent is not noted: {}", error_chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_gateway::Budget;

    async fn folder(place: &tempfile::TempDir) -> Arc<StateFolder> {
        Arc::new(StateFolder::take(place.path(), Duration::ZERO).await.unwrap())
    }

    #[tokio::test]
    async fn what_was_spent_last_is_known_to_the_job_s_next_try_and_to_no_other_job() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place).await;
        let job = JobId::random();
        let first = Spending::open(&folder, Some(job));
        assert_eq!((first.spent(), first.took()), (Spent::default(), Duration::ZERO));
        let account = Account::alone(Budget::default());
        let watch = first.watch(account.clone()).unwrap();
        let spent = Spent::of_calls(3);
        account.begin_with(spent);
        watch.end().await;
        assert_eq!(Spending::open(&folder, Some(job)).spent(), spent);
        for other in [Some(JobId::random()), None] {
            assert_eq!(Spending::open(&folder, other).spent(), Spent::default());
        }
        Spending::open(&folder, Some(job)).told();
        assert_eq!(Spending::open(&folder, Some(job)).spent().worker_calls, 0, "told once");
        let third = Spending::open(&folder, Some(job));
        let watch = third.watch(account).unwrap();
        third.told();
        watch.end().await;
        assert_eq!(Spending::open(&folder, Some(job)).spent().worker_calls, 0, "and stays told");
        third.forget();
        assert_eq!(Spending::open(&folder, Some(job)).spent(), Spent::default());
    }
}
