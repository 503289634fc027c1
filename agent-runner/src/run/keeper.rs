//! What a run leaves for the next one of its ticket, should it not come to its end, and what it finds of the one
//! before it.
//!
//! Invariants: what is kept is a moment between two calls of a model, with the work tree as it was then, so that
//! the call that was under way is made again and no other. What is newer wins: a moment that could not be kept
//! makes the one before it void, and where the remote has a commit that was published after the moment, that
//! commit is the work. Each attempt to go on is counted before anything is done, so that a moment that leads nowhere
//! is given up. That nothing can be kept, or what is kept cannot be used, is said in one line, and the run begins as
//! if there were nothing.

mod moment;
mod place;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use api_client::{JobId, error_chain};
use uuid::Uuid;

use self::moment::{Files, Moment};
use self::place::{Place, Since};
use super::job::{Job, fingerprint};
use super::spending::Spending;
use super::stage::Point;
use crate::checkout::{self, Checkout, Pinned, Start};
use crate::git::CommitId;
use crate::outcome::RunError;
use crate::publish::{self, PackedTree};
use crate::state::{StateError, StateFolder};
use crate::worker::KeptSession;

/// How long a run that is being ended has to leave the folder.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// How often a moment is gone on with as it is. The next time the coding CLI's session is left out, and then the run
/// begins anew.
const TRIES_MAX: u32 = 3;

/// How much of a fingerprint names the job's folder.
const NAME_LENGTH: usize = 16;

/// Keeps the state of a run, where it is to be kept.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    place: Option<Place>,
    /// The job in the app's queue.
    job: Option<JobId>,
    /// What is kept.
    moment: Option<Moment>,
    attempt: Attempt,
    /// The coding CLI's session of the moment that the run goes on at.
    session: Option<(KeptSession, Vec<u8>)>,
    spending: Spending,
}

/// What is noted of this run's attempt to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Attempt {
    #[default]
    None,
    /// It is one of those that came no further, should no later moment be kept.
    Counted,
}

impl Keeper {
    /// Looks for what an earlier run of this ticket left; `id` is the job's in the app's queue.
    pub(super) async fn open(job: &Job, ticket: &str, id: Option<JobId>) -> Self {
        let Some(path) = &job.settings.state_dir else { return Self::default() };
        let taken = job.cancel.run_until_cancelled(StateFolder::take(path, LOCK_WAIT)).await;
        let folder = match taken {
            Some(Ok(folder)) => Arc::new(folder),
            None => return Self::default(),
            Some(Err(error)) => {
                let why = error_chain(&error);
                tracing::warn!("a run that is killed could not be gone on with: {why}");
                return Self::default();
            }
        };
        let spending = Spending::open(&folder, id);
        let (assignment, redaction) = (job.fingerprint(ticket), job.redaction.clone());
        let place = Place { folder, assignment, redaction };
        let found = place.found();
        let mut keeper = Self { place: Some(place), job: id, spending, ..Self::default() };
        match found {
            Ok(found) => keeper.moment = found,
            Err(why) => keeper.give_up(&why),
        }
        keeper
    }

    /// What tells the job's folder from others: a coding CLI files its sessions by the path that it works in. Runs
    /// that work at the same time have folders of state of their own, and so others of these.
    pub(super) fn folder_name(&self) -> Option<String> {
        let Place { folder, assignment, .. } = self.place.as_ref()?;
        let name = fingerprint(&format!("{assignment} {}", folder.path().display()));
        name.get(..NAME_LENGTH).map(str::to_owned)
    }

    /// What the tries of the job spent.
    pub(super) const fn spending(&self) -> &Spending {
        &self.spending
    }

    /// Whether anything is kept.
    pub(super) const fn is_on(&self) -> bool {
        self.place.is_some()
    }

    /// Has the work begin at the commit of the default branch at which it began then, where it can.
    ///
    /// # Errors
    /// When the checkout cannot be used.
    pub(super) async fn pin(&mut self, job: &Job, checkout: &mut Checkout) -> Result<(), RunError> {
        if self.place.is_some() && job.project().clone.lfs {
            tracing::info!("the state of work with files in Git LFS is not kept");
            self.forget();
        }
        let Some(moment) = &self.moment else { return Ok(()) };
        if moment.since.tries > TRIES_MAX {
            let tries = moment.since.tries;
            self.give_up(&format!("{tries} tries came no further"));
            return Ok(());
        }
        let (start, now) = (moment.start, checkout.start_commit());
        if moment.from != Start::Fresh || start == now || moment.since.published.contains(&now) {
            return Ok(());
        }
        let pinned = checkout::begin_at(&job.git, checkout, start).await;
        match pinned.map_err(RunError::Checkout)? {
            Pinned::Yes => job.course().note(|record| {
                if let Some(repository) = &mut record.repository {
                    repository.base_commit = start.to_string();
                }
            }),
            Pinned::No(why) => self.give_up(why),
        }
        Ok(())
    }

    /// Counts an attempt to go on, and brings the work tree to the moment that was kept, where the run begins at the same commit; where it begins at
    /// one that was published later, that is the work. Where the run goes on; nothing where it begins anew.
    ///
    /// # Errors
    /// When the work tree is neither as it was checked out nor as it was then.
    pub(super) async fn take_up(
        &mut self,
        job: &Job,
        checkout: &Checkout,
    ) -> Result<Option<Point>, RunError> {
        if let Err(error) = self.count() {
            let error = error_chain(&error);
            tracing::warn!("what an earlier try left is not gone on with: {error}");
            self.moment = None;
        }
        let (Some(place), Some(moment)) = (self.place.clone(), self.moment.clone()) else {
            return Ok(None);
        };
        let now = checkout.start_commit();
        let is_start = now == moment.start && checkout.start() == moment.from;
        let refused = if moment.base != checkout.base_branch().as_str() {
            Some(format!("the default branch was {}", moment.base))
        } else if !is_start && !moment.since.published.contains(&now) {
            Some(format!("the work begins at {now} now, and began at {}", moment.start))
        } else {
            None
        };
        let files = match refused {
            Some(why) => Err(why),
            None => place.files().await.map_err(|error| error_chain(&error)),
        };
        let Files { tree, session } = match files {
            Ok(files) => files,
            Err(why) => {
                self.give_up(&why);
                return Ok(None);
            }
        };
        if let Err(error) = publish::unpack_tree(&job.git, checkout, tree).await {
            if job.is_cancelled() {
                return Err(RunError::CutShort);
            }
            self.give_up(&error_chain(&error));
            return Ok(None);
        }
        if is_start
            && let Err(error) = publish::check_out_tree(&job.git, checkout, moment.tree).await
        {
            if job.is_cancelled() {
                return Err(RunError::CutShort);
            }
            self.give_up(&error_chain(&error));
            return Err(RunError::Folder {
                attempted: "bring back the work tree of an earlier try",
                source: io::Error::other(error),
            });
        }
        self.session = moment.session.zip(session).filter(|_| moment.since.tries <= TRIES_MAX);
        let is_same_job = self.job.is_some() && self.job == moment.job;
        Ok(Some(match (is_same_job, moment.since.told) {
            (true, false) => moment.point,
            (true, true) => moment.point.once_told(),
            (false, _) => moment.point.of_another_job(),
        }))
    }

    /// The commit at which the work of the moment began.
    pub(super) fn began_at(&self) -> Option<CommitId> {
        self.moment.as_ref().map(|moment| moment.start)
    }

    /// The coding CLI's session of the moment that the run goes on at, once.
    pub(super) const fn session(&mut self) -> Option<(KeptSession, Vec<u8>)> {
        self.session.take()
    }

    /// Keeps a moment in the place of the one before.
    pub(super) async fn keep(
        &mut self,
        checkout: &Checkout,
        point: Point,
        tree: PackedTree,
        session: Option<(KeptSession, Vec<u8>)>,
    ) {
        let Some(place) = self.place.clone() else { return };
        let (session, archive) = session.unzip();
        let files = Files { tree: tree.pack, session: archive };
        let moment = Moment {
            id: Uuid::new_v4(),
            job: self.job,
            assignment: place.assignment.clone(),
            base: checkout.base_branch().to_string(),
            start: checkout.start_commit(),
            from: checkout.start(),
            tree: tree.kept,
            session,
            point,
            since: Since::default(),
        };
        match place.keep(moment.clone(), files).await {
            Ok(()) => self.moment = Some(moment),
            Err(why) => self.not_kept(&why),
        }
    }

    /// A moment could not be kept: the one before it is older than the work by now.
    pub(super) fn not_kept(&mut self, why: &str) {
        tracing::warn!("where the run is cannot be kept, should it be killed: {why}");
        self.void();
    }

    /// Notes a commit of the work that is about to be published: a run that begins there goes on all the same.
    pub(super) fn publishes(&mut self, commit: CommitId) {
        let (Some(place), Some(moment)) = (&self.place, &mut self.moment) else { return };
        moment.since.published.push(commit);
        if let Err(error) = place.note(moment) {
            tracing::warn!("what is published is not noted: {}", error_chain(&error));
        }
    }

    /// The run ends by itself, and its outcome tells what it did and spent. One that pauses, is stopped, or that an
    /// outage ends, is no try that came no further.
    pub(super) fn ends(&mut self, job: &Job, why: &RunError) {
        self.spending.told();
        if why.is_outage() || matches!(why, RunError::CutShort) || job.is_cancelled() {
            self.hindered();
        }
        let (Some(place), Some(moment)) = (&self.place, &mut self.moment) else { return };
        moment.since.told = true;
        if let Err(error) = place.note(moment) {
            tracing::warn!("how the run ends is not noted: {}", error_chain(&error));
        }
    }

    /// Something outside keeps the run from going on, which tells nothing of the moment: its attempt is not counted.
    pub(super) fn hindered(&mut self) {
        let attempt = std::mem::take(&mut self.attempt);
        let (Some(place), Some(moment)) = (&self.place, &mut self.moment) else { return };
        if attempt == Attempt::None || moment.since.tries == 0 {
            return;
        }
        moment.since.tries -= 1;
        if let Err(error) = place.note(moment) {
            tracing::warn!("an attempt stays counted: {}", error_chain(&error));
        }
    }

    /// Removes all: the job came to its end, and the next one of the ticket begins anew.
    pub(super) fn forget(&mut self) {
        self.void();
        std::mem::take(&mut self.spending).forget();
        self.place = None;
    }

    /// Counts an attempt to go on.
    fn count(&mut self) -> Result<(), StateError> {
        let (Some(place), Some(moment)) = (&self.place, &mut self.moment) else { return Ok(()) };
        moment.since.tries += 1;
        place.note(moment)?;
        self.attempt = Attempt::Counted;
        if moment.since.tries > TRIES_MAX {
            tracing::warn!(
                "{TRIES_MAX} tries came no further; the coding CLI's session is left out"
            );
        }
        Ok(())
    }

    /// The run begins as if nothing had been kept.
    fn give_up(&mut self, why: &str) {
        tracing::warn!("what an earlier try left is not gone on with: {why}");
        self.void();
    }

    /// What is kept counts no more.
    fn void(&mut self) {
        self.moment = None;
        if let Some(place) = &self.place {
            place.clear();
        }
    }
}
