//! Asks the forges, for as long as the server runs: for one pull request after another, at intervals, and at
//! once where something happened.
//!
//! Invariants: one request is in flight at a time; what is seen is acted upon before the next look; a
//! forge that wants a pause, or that nobody can connect to, is left alone for a while, with all of its
//! projects; one pull request that cannot be looked at holds up no other; nothing is asked without a token.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use api_client::{ProjectId, ReviewAuthors, Secret, TicketId, error_chain};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::decision::{Decision, Fate};
use super::schedule::Schedule;
use super::{Look, ReviewTerms};
use crate::clock::Timestamp;
use crate::forge::{Forge, ForgeAddress, ForgeError, Pull, UnknownForge};
use crate::setting::Settings;
use crate::store::{InReview, Store, StoreError};

/// How long a forge that nobody can connect to is left alone at most, and a pull request that gave no answer.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that grows because the limit goes on: what a forge asks for may be longer.
const GROWN_PAUSE_MAX: Duration = Duration::from_secs(600);
/// The longest look at one pull request: what is seen then is too old.
const LOOK_MAX: Duration = Duration::from_secs(120);
/// How often it is asked at least which tickets are in review.
const LIST_EVERY: Duration = Duration::from_secs(60);

/// The task.
#[derive(Debug)]
pub(crate) struct Poller {
    store: Store,
    terms: ReviewTerms,
    schedule: Schedule,
    forges: HashMap<ProjectId, Connection>,
    /// By the origin of the API: the limits of a forge are for all projects.
    pauses: HashMap<String, Pause>,
    /// Of which the log says that they cannot be looked at: once for each streak.
    failing: HashSet<TicketId>,
    health: Health,
}

/// Whether the database gave what a look needs: a streak of failures is logged once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    Failing,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    /// How many there were without an answer in between.
    streak: u32,
}

/// A forge as it was set up from the settings.
#[derive(Debug)]
struct Connection {
    address: ForgeAddress,
    token: Secret,
    forge: Forge,
}

/// A pull request could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Unknown(#[from] UnknownForge),
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error("it took more than {} s", LOOK_MAX.as_secs())]
    TooLong,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Poller {
    pub(crate) fn new(store: Store, terms: ReviewTerms) -> Self {
        let (schedule, forges, pauses) = (Schedule::default(), HashMap::new(), HashMap::new());
        let (failing, health) = (HashSet::new(), Health::Well);
        Self { store, terms, schedule, forges, pauses, failing, health }
    }

    /// Looks until `stop`; `nudges` are tickets of which something happened.
    pub(crate) async fn run(
        mut self,
        mut nudges: mpsc::Receiver<TicketId>,
        stop: CancellationToken,
    ) {
        loop {
            let Some(step) = stop.run_until_cancelled(self.step()).await else { return };
            let sleep = self.rest(step);
            tokio::select! {
                () = stop.cancelled() => return,
                nudge = nudges.recv() => match nudge {
                    Some(ticket) => self.schedule.happened(ticket, Instant::now()),
                    None => return,
                },
                () = tokio::time::sleep(sleep) => {}
            }
            while let Ok(ticket) = nudges.try_recv() {
                self.schedule.happened(ticket, Instant::now());
            }
        }
    }

    /// Looks at one pull request, if one is due; answers how long there is nothing to do.
    async fn step(&mut self) -> Result<Duration, StoreError> {
        let settings = self.store.settings().await?;
        let watched = self.store.in_review().await?;
        let (now, idle) = (Instant::now(), self.terms.poll.min(LIST_EVERY));
        self.schedule.keep(&watched, now);
        self.forget_others(&watched);
        let Some(token) = settings.forge_token() else { return Ok(idle) };
        let Some(at) = self.schedule.due(watched, now) else {
            return Ok(self.schedule.sleep(idle, now));
        };
        match self.visit(&at, &settings, token).await {
            Ok(()) => {
                if self.failing.remove(&at.ticket) {
                    tracing::info!(ticket.id = %at.ticket, "its pull request is seen again");
                }
            }
            Err(error) => self.suffer(&at, &error),
        }
        Ok(Duration::ZERO)
    }

    /// How long to sleep after a step.
    fn rest(&mut self, step: Result<Duration, StoreError>) -> Duration {
        let error = match step {
            Ok(sleep) => {
                self.health = Health::Well;
                return sleep;
            }
            Err(error) => error,
        };
        if self.health == Health::Well {
            tracing::error!(error = %error_chain(&error), "cannot look at pull requests");
        }
        self.health = Health::Failing;
        self.terms.poll.min(LIST_EVERY)
    }

    /// Looks at a pull request and acts on it, unless its forge has a pause.
    async fn visit(
        &mut self,
        at: &InReview,
        settings: &Settings,
        token: &Secret,
    ) -> Result<(), LookError> {
        let (now, begun) = (Instant::now(), Timestamp::now());
        let (kind, api) = settings.forge();
        let address = ForgeAddress::new(&at.repo_url, kind, api);
        let pause = address.as_ref().ok().and_then(|address| self.pauses.get(&address.origin()));
        if let Some(pause) = pause.filter(|pause| now < pause.until) {
            self.schedule.put_off(at.ticket, pause.until);
            return Ok(());
        }
        // What fails, and what a stop breaks off, is looked at again then.
        self.schedule.look(at.ticket, now, now + self.terms.poll);
        let address = address?;
        let origin = address.origin();
        let pull = self.ask(at, address, token, &settings.review_authors()).await.inspect_err(
            |error| {
                self.pause(&origin, error);
            },
        )?;
        self.pauses.remove(&origin);
        self.act(at, pull, begun).await
    }

    async fn ask(
        &mut self,
        at: &InReview,
        address: ForgeAddress,
        token: &Secret,
        authors: &ReviewAuthors,
    ) -> Result<Pull, LookError> {
        let known = self.forges.get(&at.project);
        if known.is_none_or(|known| known.address != address || known.token != *token) {
            let forge = Forge::new(&address, token)?;
            let connection = Connection { address, token: token.clone(), forge };
            self.forges.insert(at.project, connection);
        }
        let known = self.forges.get(&at.project).ok_or(UnknownForge::Repository)?;
        Ok(timeout(LOOK_MAX, known.forge.look(at.pr_number, authors))
            .await
            .map_err(|_| LookError::TooLong)??)
    }

    /// Leaves a forge alone, where the error is one of all its pull requests.
    fn pause(&mut self, origin: &str, error: &LookError) {
        let streak = self.pauses.get(origin).map_or(0, |pause| pause.streak);
        let pause = match error {
            LookError::Forge(ForgeError::RateLimited { pause, .. }) => {
                let grown = pause.saturating_mul(1_u32.checked_shl(streak).unwrap_or(u32::MAX));
                grown.min(GROWN_PAUSE_MAX).max(*pause)
            }
            LookError::Forge(ForgeError::NoConnection { .. }) => self.terms.poll.min(PAUSE),
            _ => return,
        };
        let pause = Pause { until: Instant::now() + pause, streak: streak + 1 };
        self.pauses.insert(origin.to_owned(), pause);
    }

    fn suffer(&mut self, at: &InReview, error: &LookError) {
        self.schedule.at(at.ticket, Instant::now() + self.terms.poll.min(PAUSE));
        if self.failing.insert(at.ticket) {
            let error = error_chain(error);
            tracing::warn!(ticket.id = %at.ticket, %error, "cannot look at its pull request");
        }
    }

    async fn act(&mut self, at: &InReview, pull: Pull, begun: Timestamp) -> Result<(), LookError> {
        let (ticket, number) = (at.ticket, at.pr_number);
        let look = Look { pull, begun, ended: Timestamp::now() };
        match self.store.take_look(at.clone(), look, self.terms).await? {
            Some(Decision::Wait(time)) => self.schedule.at(ticket, Instant::now() + time),
            Some(Decision::Start(assignment)) => {
                let items = assignment.items.len();
                tracing::info!(ticket.id = %ticket, number, items, "review job queued");
            }
            Some(Decision::Finish(fate)) => {
                let why = match fate {
                    Fate::Merged => "merged",
                    Fate::Approved => "approved",
                };
                tracing::info!(ticket.id = %ticket, number, "pull request {why}: ticket done");
            }
            Some(Decision::Close | Decision::Extend(..) | Decision::GiveUp(_) | Decision::Rest)
            | None => {}
        }
        Ok(())
    }

    fn forget_others(&mut self, watched: &[InReview]) {
        let projects: HashSet<ProjectId> = watched.iter().map(|at| at.project).collect();
        self.forges.retain(|project, _| projects.contains(project));
        self.failing.retain(|ticket| watched.iter().any(|at| at.ticket == *ticket));
    }
}

#[cfg(test)]
mod tests;
