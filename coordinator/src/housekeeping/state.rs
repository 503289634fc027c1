//! What runs of tickets left that were killed, once its time is over.
//!
//! Invariant: nothing is removed that a container has, or that is of a ticket with a job that is held: it may be
//! about to get one.

use std::collections::HashMap;
use std::time::Duration;

use api_client::TicketId;

use crate::clock;
use crate::context::Context;
use crate::engine::{EngineError, Leftover, StateVolume};
use crate::history;

/// Those of these volumes whose time is over, which counts from the end of the ticket's last job; without an age, all
/// that are not in use. Of a job of which nothing is kept any more the end is not known: then it counts from when the
/// volume was made.
pub(super) async fn outdated(
    ctx: &Context,
    mut states: Vec<StateVolume>,
    age: Option<Duration>,
) -> Result<Vec<Leftover>, EngineError> {
    let now = clock::now();
    states.retain(|state| is_over(state.made, age, now));
    if states.is_empty() {
        return Ok(Vec::new());
    }
    let ends = last_ends(ctx).await;
    let mut outdated = Vec::new();
    for state in states {
        if is_over(last_use(&state, &ends), age, now)
            && !is_held(ctx, state.ticket).await
            && ctx.engine.users_of_volume(&state.name).await?.is_empty()
        {
            outdated.push(Leftover::volume(state.name));
        }
    }
    Ok(outdated)
}

/// Whether the time is over of what was used last then; both in seconds since 1970.
fn is_over(last: u64, age: Option<Duration>, now: u64) -> bool {
    now.saturating_sub(last) >= age.unwrap_or_default().as_secs()
}

/// When it was made, or its ticket's last job ended.
fn last_use(state: &StateVolume, ends: &HashMap<TicketId, u64>) -> u64 {
    let end = state.ticket.and_then(|ticket| ends.get(&ticket).copied());
    end.unwrap_or_default().max(state.made)
}

/// When the last job of each ticket ended, as far as that is kept.
async fn last_ends(ctx: &Context) -> HashMap<TicketId, u64> {
    let state_dir = ctx.state_dir.clone();
    let all = tokio::task::spawn_blocking(move || history::all(&state_dir)).await;
    let all = all.unwrap_or_else(|failed| Err(failed.into())).unwrap_or_else(|error| {
        tracing::debug!(%error, "when jobs ended is not known");
        Vec::new()
    });
    // The latest comes first.
    let ends = all.into_iter().rev();
    ends.filter_map(|ended| Some((ended.ticket?, ended.ended_at))).collect()
}

/// Where that cannot be told, it may be.
async fn is_held(ctx: &Context, ticket: Option<TicketId>) -> bool {
    let Some(ticket) = ticket else { return false };
    ctx.ledger.jobs_of(ticket).await.map_or(true, |jobs| !jobs.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_has_its_time_and_none_where_nothing_is_kept() {
        let minute = Some(Duration::from_secs(60));
        assert!(!is_over(100, minute, 159) && is_over(100, minute, 160));
        assert!(!is_over(100, minute, 50), "a clock that was set back");
        assert!(is_over(100, None, 100));
    }

    #[test]
    fn its_time_counts_from_the_end_of_the_last_job() {
        let [ticket, other] = [7, 8].map(|n| format!("00000000-0000-4000-8000-{n:012}"));
        let ends = HashMap::from([(ticket.parse().unwrap(), 900)]);
        let last = |ticket: &str, made| {
            let (name, ticket) = ("x".to_owned(), ticket.parse().ok());
            last_use(&StateVolume { name, ticket, made }, &ends)
        };
        assert_eq!((last(&ticket, 100), last(&ticket, 950), last(&other, 100)), (900, 950, 100));
        assert_eq!(last("", 100), 100);
    }
}
