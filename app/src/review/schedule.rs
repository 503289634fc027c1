//! When each ticket's pull request is looked at, and in which order. Pure.
//!
//! Invariant: of those that are due the one comes first that was passed over the longest, so that none is
//! kept waiting by others for ever; among equals the older pull request.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use api_client::TicketId;

use crate::store::InReview;

/// A pull request is not looked at more often than this, however many events there are.
const EVENTS_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Schedule {
    turns: HashMap<TicketId, Turn>,
    /// In each round all that are due are looked at once, from 1.
    round: u64,
}

#[derive(Debug)]
struct Turn {
    next: Instant,
    /// When it was looked at last, and in which round; round 0 is none.
    looked_at: Option<Instant>,
    round: u64,
}

impl Schedule {
    /// Forgets what is no longer watched; what is new is due at once.
    pub(super) fn keep(&mut self, watched: &[InReview], now: Instant) {
        self.turns.retain(|ticket, _| watched.iter().any(|at| at.ticket == *ticket));
        for at in watched {
            let new = || Turn { next: now, looked_at: None, round: 0 };
            self.turns.entry(at.ticket).or_insert_with(new);
        }
    }

    /// The next one, if one is due.
    pub(super) fn due(&self, watched: Vec<InReview>, now: Instant) -> Option<InReview> {
        let due = watched.into_iter().filter_map(|at| {
            let turn = self.turns.get(&at.ticket).filter(|turn| turn.next <= now)?;
            Some((turn.round, at))
        });
        due.min_by_key(|(round, at)| (*round, at.pr_number)).map(|(_, at)| at)
    }

    /// It is looked at now, and again at `next` at the latest.
    pub(super) fn look(&mut self, ticket: TicketId, now: Instant, next: Instant) {
        if let Some(turn) = self.turns.get_mut(&ticket) {
            self.round = self.round.max(turn.round + 1);
            *turn = Turn { next, looked_at: Some(now), round: self.round };
        }
    }

    /// Not before this time; it keeps its place in the order.
    pub(super) fn put_off(&mut self, ticket: TicketId, until: Instant) {
        if let Some(turn) = self.turns.get_mut(&ticket) {
            turn.next = until;
        }
    }

    /// At this time, if not before.
    pub(super) fn at(&mut self, ticket: TicketId, time: Instant) {
        if let Some(turn) = self.turns.get_mut(&ticket) {
            turn.next = turn.next.min(time);
        }
    }

    /// Something happened there.
    pub(super) fn happened(&mut self, ticket: TicketId, now: Instant) {
        let last = self.turns.get(&ticket).and_then(|turn| turn.looked_at);
        self.at(ticket, last.map_or(now, |last| now.max(last + EVENTS_EVERY)));
    }

    /// How long nothing is due; `idle` at most.
    pub(super) fn sleep(&self, idle: Duration, now: Instant) -> Duration {
        let first = self.turns.values().map(|turn| turn.next).min();
        first.map_or(idle, |first| first.saturating_duration_since(now).min(idle))
    }
}

#[cfg(test)]
mod tests {
    use api_client::ProjectId;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn watched<const N: usize>(numbers: [u64; N]) -> [InReview; N] {
        numbers.map(|pr_number| InReview {
            ticket: TicketId::random(),
            project: ProjectId::random(),
            repo_url: String::new(),
            pr_number,
        })
    }

    #[test]
    fn what_is_new_is_due_at_once_and_then_when_its_time_comes() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let all = watched([7]);
        let ticket = all[0].ticket;
        let due = |schedule: &Schedule, at| schedule.due(all.to_vec(), at).is_some();
        schedule.keep(&all, now);
        assert!(due(&schedule, now));
        schedule.look(ticket, now, now + MINUTE);
        schedule.keep(&all, now);
        assert!(!due(&schedule, now) && due(&schedule, now + MINUTE));
        schedule.at(ticket, now + MINUTE / 2);
        schedule.at(ticket, now + MINUTE);
        assert_eq!(schedule.sleep(MINUTE, now), MINUTE / 2);
        schedule.keep(&[], now);
        assert_eq!(schedule.sleep(MINUTE, now), MINUTE);
    }

    #[test]
    fn events_are_followed_at_once_but_not_each_of_many() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let all = watched([7]);
        let ticket = all[0].ticket;
        schedule.keep(&all, now);
        schedule.look(ticket, now, now + MINUTE);
        schedule.happened(ticket, now + Duration::from_secs(1));
        assert_eq!(schedule.sleep(MINUTE, now), EVENTS_EVERY);
        schedule.look(ticket, now, now + 2 * MINUTE);
        schedule.happened(ticket, now + MINUTE);
        assert!(schedule.due(all.to_vec(), now + MINUTE).is_some());
    }

    #[test]
    fn one_that_was_passed_over_comes_before_those_that_were_looked_at() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let all = watched([1, 2, 3]);
        let next = |schedule: &Schedule, at| schedule.due(all.to_vec(), at).unwrap().pr_number;
        schedule.keep(&all, now);
        assert_eq!(next(&schedule, now), 1);
        schedule.look(all[0].ticket, now, now + MINUTE);
        assert_eq!(next(&schedule, now), 2);
        schedule.look(all[1].ticket, now, now + MINUTE);
        // The forge wants a pause before the third.
        schedule.put_off(all[2].ticket, now + MINUTE);
        let later = now + MINUTE;
        assert_eq!(next(&schedule, later), 3);
        schedule.look(all[2].ticket, later, later + MINUTE);
        assert_eq!(next(&schedule, later), 1, "then by age");
    }
}
