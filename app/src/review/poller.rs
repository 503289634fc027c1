//! Asks the forges, for as long as the server runs: each pull request at intervals, and at once where its
//! forge says that something happened.
//!
//! Invariants: one request is in flight at a time; a forge that wants a pause, or gives no answer, is
//! left alone for a while with all of the project's pull requests; nothing is asked without a token.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use api_client::{ProjectId, Secret, TicketId, error_chain};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ReviewTerms;
use super::decision::{Decision, Fate};
use crate::clock::Timestamp;
use crate::forge::{Forge, ForgeAddress, ForgeError, Pull, UnknownForge};
use crate::setting::Settings;
use crate::store::{InReview, Store, StoreError};

/// How long a forge that gives no answer is left alone at least.
const PAUSE: Duration = Duration::from_secs(60);
/// How long the loop sleeps where nothing is due: what comes wakes it.
const IDLE: Duration = Duration::from_secs(3_600);

/// The task.
#[derive(Debug)]
pub(crate) struct Poller {
    store: Store,
    terms: ReviewTerms,
    schedule: Schedule,
    forges: HashMap<ProjectId, Connection>,
    paused: HashMap<ProjectId, Instant>,
    /// Of which the log says that they cannot be looked at: once for each streak.
    failing: HashSet<TicketId>,
}

/// When each ticket's pull request is looked at next.
#[derive(Debug, Default)]
struct Schedule {
    /// `None`: when someone asks for it.
    next: HashMap<TicketId, Option<Instant>>,
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
}

impl Poller {
    pub(crate) fn new(store: Store, terms: ReviewTerms) -> Self {
        let (schedule, forges, paused) = (Schedule::default(), HashMap::new(), HashMap::new());
        Self { store, terms, schedule, forges, paused, failing: HashSet::new() }
    }

    /// Looks until `stop`; `nudges` are tickets to be looked at at once.
    pub(crate) async fn run(
        mut self,
        mut nudges: mpsc::Receiver<TicketId>,
        stop: CancellationToken,
    ) {
        loop {
            let round = stop.run_until_cancelled(self.round()).await;
            match round {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::error!(error = %error_chain(&error), "cannot look at pull requests");
                }
            }
            let sleep = self.schedule.sleep(self.terms.poll, Instant::now());
            tokio::select! {
                () = stop.cancelled() => return,
                nudge = nudges.recv() => match nudge {
                    Some(ticket) => self.schedule.look_now(ticket, Instant::now()),
                    None => return,
                },
                () = tokio::time::sleep(sleep) => {}
            }
            while let Ok(ticket) = nudges.try_recv() {
                self.schedule.look_now(ticket, Instant::now());
            }
        }
    }

    /// Looks at all that are due, and then acts on what was seen, the oldest pull request first.
    async fn round(&mut self) -> Result<(), StoreError> {
        let settings = self.store.settings().await?;
        let watched = self.store.in_review().await?;
        let now = Instant::now();
        self.schedule.keep(&watched, self.terms.poll, now);
        self.forget_others(&watched);
        let Some(token) = settings.forge_token() else {
            self.schedule.postpone_all(self.terms.poll, now);
            return Ok(());
        };
        let due = watched.into_iter().filter(|ticket| self.schedule.is_due(ticket.ticket, now));
        let mut seen = Vec::new();
        for ticket in due.collect::<Vec<_>>() {
            // What fails, and what a stop breaks off, is looked at again then.
            self.schedule.later(ticket.ticket, self.terms.poll, now);
            if let Some(pull) = self.look(&ticket, &settings, token).await {
                seen.push((ticket, pull));
            }
        }
        seen.sort_by_key(|(_, pull)| pull.opened_at);
        for (ticket, pull) in seen {
            self.act(ticket, pull).await?;
        }
        Ok(())
    }

    async fn look(&mut self, at: &InReview, settings: &Settings, token: &Secret) -> Option<Pull> {
        let paused = self.paused.get(&at.project).copied();
        if let Some(until) = paused.filter(|until| Instant::now() < *until) {
            self.schedule.at(at.ticket, until);
            return None;
        }
        match self.ask(at, settings, token).await {
            Ok(pull) => {
                self.paused.remove(&at.project);
                if self.failing.remove(&at.ticket) {
                    tracing::info!(ticket.id = %at.ticket, "its pull request is seen again");
                }
                Some(pull)
            }
            Err(error) => {
                self.suffer(at, &error);
                None
            }
        }
    }

    async fn ask(
        &mut self,
        at: &InReview,
        settings: &Settings,
        token: &Secret,
    ) -> Result<Pull, LookError> {
        let (kind, api) = settings.forge();
        let address = ForgeAddress::new(&at.repo_url, kind, api)?;
        let known = self.forges.get(&at.project);
        if known.is_none_or(|known| known.address != address || known.token != *token) {
            let forge = Forge::new(&address, token)?;
            let connection = Connection { address, token: token.clone(), forge };
            self.forges.insert(at.project, connection);
        }
        let known = self.forges.get(&at.project).ok_or(UnknownForge::Repository)?;
        Ok(known.forge.look(at.pr_number).await?)
    }

    fn suffer(&mut self, at: &InReview, error: &LookError) {
        let pause = match error {
            LookError::Forge(ForgeError::RateLimited { pause, .. }) => Some(*pause),
            LookError::Forge(ForgeError::Unreachable { .. } | ForgeError::NoConnection { .. }) => {
                Some(self.terms.poll.unwrap_or(PAUSE).min(PAUSE))
            }
            LookError::Forge(_) | LookError::Unknown(_) => None,
        };
        if let Some(pause) = pause {
            let until = Instant::now() + pause;
            self.paused.insert(at.project, until);
            self.schedule.at(at.ticket, until);
        }
        if self.failing.insert(at.ticket) {
            let error = error_chain(error);
            tracing::warn!(ticket.id = %at.ticket, %error, "cannot look at its pull request");
        }
    }

    async fn act(&mut self, at: InReview, pull: Pull) -> Result<(), StoreError> {
        let (ticket, number) = (at.ticket, at.pr_number);
        let taken = self.store.take_look(at, pull, self.terms, Timestamp::now());
        match taken.await? {
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
        self.paused.retain(|project, _| projects.contains(project));
        self.failing.retain(|ticket| watched.iter().any(|at| at.ticket == *ticket));
    }
}

impl Schedule {
    /// Forgets what is no longer watched. What is new is due at once, unless nothing is polled.
    fn keep(&mut self, watched: &[InReview], poll: Option<Duration>, now: Instant) {
        self.next.retain(|ticket, _| watched.iter().any(|at| at.ticket == *ticket));
        for at in watched {
            self.next.entry(at.ticket).or_insert_with(|| poll.map(|_| now));
        }
    }

    fn is_due(&self, ticket: TicketId, now: Instant) -> bool {
        self.next.get(&ticket).copied().flatten().is_some_and(|next| next <= now)
    }

    fn look_now(&mut self, ticket: TicketId, now: Instant) {
        self.next.insert(ticket, Some(now));
    }

    fn later(&mut self, ticket: TicketId, poll: Option<Duration>, now: Instant) {
        self.next.insert(ticket, poll.map(|poll| now + poll));
    }

    fn postpone_all(&mut self, poll: Option<Duration>, now: Instant) {
        self.next.values_mut().for_each(|next| *next = poll.map(|poll| now + poll));
    }

    /// At this time, if not before.
    fn at(&mut self, ticket: TicketId, time: Instant) {
        let next = self.next.get(&ticket).copied().flatten();
        self.next.insert(ticket, Some(next.map_or(time, |next| next.min(time))));
    }

    /// How long nothing is due; new tickets are looked for as often as is polled.
    fn sleep(&self, poll: Option<Duration>, now: Instant) -> Duration {
        let first = self.next.values().flatten().min();
        let first = first.map_or(IDLE, |first| first.saturating_duration_since(now));
        first.min(poll.unwrap_or(IDLE)).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn watched(ticket: TicketId) -> Vec<InReview> {
        let (project, repo_url) = (ProjectId::random(), String::new());
        vec![InReview { ticket, project, repo_url, pr_number: 7 }]
    }

    #[test]
    fn what_is_new_is_due_at_once_then_at_intervals_and_when_someone_asks() {
        let (mut schedule, ticket, now) = (Schedule::default(), TicketId::random(), Instant::now());
        schedule.keep(&watched(ticket), Some(MINUTE), now);
        assert!(schedule.is_due(ticket, now));
        schedule.later(ticket, Some(MINUTE), now);
        schedule.keep(&watched(ticket), Some(MINUTE), now);
        assert!(!schedule.is_due(ticket, now) && schedule.is_due(ticket, now + MINUTE));
        schedule.at(ticket, now + MINUTE / 2);
        schedule.at(ticket, now + MINUTE);
        assert_eq!(schedule.sleep(Some(MINUTE), now), MINUTE / 2);
        schedule.look_now(ticket, now);
        assert!(schedule.is_due(ticket, now));
    }

    #[test]
    fn without_polling_nothing_is_due_until_someone_asks() {
        let (mut schedule, ticket, now) = (Schedule::default(), TicketId::random(), Instant::now());
        schedule.keep(&watched(ticket), None, now);
        assert!(!schedule.is_due(ticket, now + IDLE));
        assert_eq!(schedule.sleep(None, now), IDLE);
        schedule.look_now(ticket, now);
        assert!(schedule.is_due(ticket, now));
        schedule.later(ticket, None, now);
        assert!(!schedule.is_due(ticket, now + IDLE));
        schedule.keep(&[], None, now);
        assert!(schedule.next.is_empty());
    }
}
