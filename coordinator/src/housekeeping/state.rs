//! The volumes in which runs of tickets leave what the next one needs to go on: which of them go.
//!
//! Invariant: nothing is removed that a container has, or that is of a ticket with a job that is held: it may be
//! about to get one. It is decided here alone, by what is kept of the ticket's ended jobs; where that does not tell,
//! a volume stays until its time is over.

use std::time::Duration;

use api_client::TicketId;
use serde::Deserialize;

use crate::clock;
use crate::context::Context;
use crate::engine::{EngineError, Leftover, StateVolume};
use crate::history::{self, JobResult, Ran};
use crate::ledger::Errand;

/// Those of these volumes in which nothing is left, or whose time is over, which counts from the end of the ticket's
/// last job; without an age, all that are not in use. Of a job of which nothing is kept any more the end is not known:
/// then it counts from when the volume was made.
pub(super) async fn disused(
    ctx: &Context,
    states: Vec<StateVolume>,
    age: Option<Duration>,
) -> Result<Vec<Leftover>, EngineError> {
    let mut free = Vec::new();
    for state in states {
        if !is_held(ctx, state.ticket).await {
            free.push(state);
        }
    }
    // After that: of a job that is not held any more it is kept how it ended.
    let ended = match age {
        Some(_) if !free.is_empty() => ended_jobs(ctx).await,
        _ => Vec::new(),
    };
    let now = clock::now();
    let mut disused = Vec::new();
    for state in free {
        let jobs: Vec<_> = ended.iter().filter(|job| job.had(&state)).collect();
        if (is_over(last_use(&state, &jobs), age, now) || is_empty(&state, &jobs))
            && ctx.engine.users_of_volume(&state.name).await?.is_empty()
        {
            disused.push(Leftover::from(state));
        }
    }
    Ok(disused)
}

/// Whether a job of the ticket is held; where that cannot be told, one may be.
pub(super) async fn is_held(ctx: &Context, ticket: Option<TicketId>) -> bool {
    let Some(ticket) = ticket else { return false };
    ctx.ledger.holds_job_of(ticket).await.unwrap_or(true)
}

/// What of an ended job tells about its ticket's volume.
#[derive(Clone, Debug, Deserialize)]
struct Ended {
    ticket: Option<TicketId>,
    #[serde(default)]
    errand: Errand,
    claimed_at: u64,
    ended_at: u64,
    result: JobResult,
    ran: Option<Ran>,
    /// Why its document is not to be believed.
    doubt: Option<String>,
    document: Option<Said>,
}

#[derive(Clone, Debug, Deserialize)]
struct Said {
    state_kept: Option<bool>,
}

/// What a job left in its ticket's volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// Nothing that is to be gone on with.
    Nothing,
    /// Something perhaps.
    Something,
}

impl Ended {
    /// Whether it can have had the volume: it was there before the job ended. Reviews have none.
    fn had(&self, state: &StateVolume) -> bool {
        self.errand == Errand::Ticket
            && self.ticket.is_some()
            && self.ticket == state.ticket
            && self.ended_at >= state.made
    }

    /// Nothing, where its agent never began, or worked elsewhere and did not finish.
    fn left(&self) -> Option<Left> {
        let said = self.document.as_ref().filter(|_| self.doubt.is_none());
        match (said.and_then(|said| said.state_kept), self.result, self.ran) {
            // Work that is delivered is not gone on with, wherever it was done.
            (Some(false) | None, JobResult::Completed, _)
            | (Some(false), _, Some(Ran::InContainer)) => Some(Left::Nothing),
            (_, _, Some(Ran::InContainer)) => Some(Left::Something),
            (_, _, Some(Ran::OnHost) | None) => None,
        }
    }
}

/// Whether the last job that worked left nothing; where none did, whether the one is known that had the volume made.
fn is_empty(state: &StateVolume, jobs: &[&Ended]) -> bool {
    let left = jobs.iter().filter_map(|job| Some((job.ended_at, job.left()?)));
    match left.max() {
        Some((_, left)) => left == Left::Nothing,
        None => jobs.iter().any(|job| job.claimed_at <= state.made),
    }
}

/// Whether the time is over of what was used last then; both in seconds since 1970.
fn is_over(last: u64, age: Option<Duration>, now: u64) -> bool {
    now.saturating_sub(last) >= age.unwrap_or_default().as_secs()
}

/// When it was made, or its ticket's last job ended.
fn last_use(state: &StateVolume, jobs: &[&Ended]) -> u64 {
    jobs.iter().map(|job| job.ended_at).fold(state.made, u64::max)
}

/// What is kept of jobs that have ended.
async fn ended_jobs(ctx: &Context) -> Vec<Ended> {
    let state_dir = ctx.state_dir.clone();
    let all = tokio::task::spawn_blocking(move || history::parts_of_all(&state_dir)).await;
    all.unwrap_or_else(|failed| Err(failed.into())).unwrap_or_else(|error| {
        tracing::debug!(%error, "how jobs ended is not known");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TICKET: &str = "00000000-0000-4000-8000-000000000007";

    fn volume(made: u64) -> StateVolume {
        StateVolume { name: "x".to_owned(), ticket: TICKET.parse().ok(), made }
    }

    /// A job of these times.
    fn ended((claimed_at, ended_at): (u64, u64), ran: Option<&str>, kept: Option<bool>) -> Value {
        json!({
            "version": 1, "ticket": TICKET, "claimed_at": claimed_at, "ended_at": ended_at,
            "result": "failed", "ran": ran, "document": { "summary": "x", "state_kept": kept },
        })
    }

    fn with(mut job: Value, name: &str, value: &str) -> Value {
        job[name] = value.into();
        job
    }

    fn goes(made: u64, jobs: &[Value]) -> bool {
        let jobs: Vec<Ended> =
            jobs.iter().map(|job| serde_json::from_value(job.clone()).unwrap()).collect();
        let jobs: Vec<_> = jobs.iter().filter(|job| job.had(&volume(made))).collect();
        is_empty(&volume(made), &jobs)
    }

    #[test]
    fn a_volume_goes_by_the_word_of_the_last_job_that_worked_in_it() {
        let inside = Some("in_container");
        let nothing = ended((10, 20), inside, Some(false));
        let something = ended((30, 40), inside, Some(true));
        let silent = ended((30, 40), inside, None);
        assert!(goes(10, std::slice::from_ref(&nothing)));
        assert!(!goes(10, &[nothing.clone(), something.clone()]), "a later one left its moment");
        assert!(!goes(10, &[silent, nothing.clone()]), "one that was killed could not say");
        assert!(goes(10, &[something.clone(), ended((50, 60), inside, Some(false))]));
        assert!(
            !goes(10, &[ended((30, 40), inside, Some(false)), something]),
            "at the same second"
        );
        assert!(!goes(10, &[with(nothing.clone(), "doubt", "no")]), "it is not believed");
        assert!(!goes(21, std::slice::from_ref(&nothing)), "of another volume of the ticket");
        assert!(!goes(10, &[with(nothing, "ticket", &TICKET.replace('7', "8"))]));
        assert!(!goes(10, &[]), "nothing is known");
    }

    #[test]
    fn a_job_whose_agent_never_began_leaves_no_volume_and_takes_none() {
        let never = |claimed_at| ended((claimed_at, claimed_at + 10), None, None);
        assert!(goes(11, &[never(10)]), "it had the volume made");
        assert!(!goes(11, &[never(30)]), "what was left by the one that had it made is not known");
        assert!(!goes(11, &[ended((10, 20), Some("in_container"), None), never(30)]));
    }

    #[test]
    fn work_that_was_done_elsewhere_ends_what_could_be_gone_on_with_once_it_is_delivered() {
        let killed = ended((10, 20), Some("in_container"), None);
        let on_host = ended((30, 40), Some("on_host"), Some(false));
        assert!(!goes(10, &[killed.clone(), on_host.clone()]));
        assert!(goes(10, &[killed.clone(), with(on_host, "result", "completed")]));
        let without = with(ended((30, 40), Some("in_container"), None), "result", "completed");
        assert!(goes(10, &[killed.clone(), without.clone()]));
        let review = with(with(without.clone(), "result", "completed"), "errand", "review");
        assert!(!goes(10, &[killed, review]), "a review says nothing of it");
        let kept = with(ended((50, 60), Some("in_container"), Some(true)), "result", "completed");
        assert!(!goes(10, &[without, kept]));
    }

    #[test]
    fn state_has_its_time_and_none_where_nothing_is_kept() {
        let minute = Some(Duration::from_secs(60));
        assert!(!is_over(100, minute, 159) && is_over(100, minute, 160));
        assert!(!is_over(100, minute, 50), "a clock that was set back");
        assert!(is_over(100, None, 100));
    }

    #[test]
    fn its_time_counts_from_the_end_of_the_last_job() {
        let job: Ended = serde_json::from_value(ended((1, 900), None, None)).unwrap();
        assert_eq!([100, 950].map(|made| last_use(&volume(made), &[&job])), [900, 950]);
        assert_eq!(last_use(&volume(100), &[]), 100);
    }
}
