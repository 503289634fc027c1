//! From what is known to how the coordinator is. Pure.

use serde::Serialize;

use crate::board::{Holds, StatusView};
use crate::calls;
use crate::gate::GateState;
use crate::metrics::Room;

/// Version of what is told.
pub(super) const VERSION: u32 = 1;

/// How all of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Healthy,
    /// It works, and someone should look.
    Degraded,
    /// Jobs cannot be run, or their outcomes not be told.
    Unhealthy,
}

/// How one thing is that the coordinator needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Up,
    Degraded,
    Down,
    /// Nothing is known yet.
    Unknown,
    /// The settings want none.
    NotNeeded,
}

/// What is told at `/health`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Health {
    pub(super) version: u32,
    pub(super) status: Verdict,
    pub(super) dependencies: Dependencies,
}

/// Each of them.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Dependencies {
    pub(super) app: Dependency,
    pub(super) engine: Dependency,
    pub(super) disk: Dependency,
    pub(super) outbox: Dependency,
}

/// One of them.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Dependency {
    pub(super) state: State,
    /// How long the last call took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_millis: Option<f64>,
    /// How long ago that ended, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// What is told at `/ready`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Ready {
    pub(super) version: u32,
    pub(super) ready: bool,
    pub(super) state: Standing,
    /// Why nothing is claimed, or not for all projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// For how long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age: Option<u64>,
}

/// Whether jobs are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    Ready,
    /// Not for all projects.
    Partly,
    Starting,
    Paused,
    Draining,
    Stopping,
    /// Something is in the way.
    Held,
}

/// What `/ready` is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) gate: GateState,
    pub(super) stopping: bool,
    /// Whether there was a round of questions for a job.
    pub(super) asked: bool,
    pub(super) holds: Option<Holds>,
}

/// Whether jobs are claimed, and why not.
pub(super) fn ready(facts: Facts, status: &StatusView) -> Ready {
    let state = match facts {
        Facts { stopping: true, .. } => Standing::Stopping,
        Facts { gate: GateState::Paused, .. } => Standing::Paused,
        Facts { gate: GateState::Draining, .. } => Standing::Draining,
        Facts { holds: Some(Holds::All), .. } => Standing::Held,
        Facts { holds: Some(Holds::Some), .. } => Standing::Partly,
        Facts { asked: false, .. } => Standing::Starting,
        Facts { .. } => Standing::Ready,
    };
    let held = status.held.as_ref();
    let reason = match state {
        Standing::Ready => None,
        Standing::Starting => Some("the app has not been asked for a job yet".to_owned()),
        Standing::Stopping => Some("the coordinator stops".to_owned()),
        Standing::Paused => Some("paused: `coordinator resume` goes on".to_owned()),
        Standing::Draining => Some("draining: it ends when its last job has".to_owned()),
        Standing::Partly | Standing::Held => held.map(|held| held.text.clone()),
    };
    let age = match state {
        Standing::Partly | Standing::Held => held.map(|held| held.age),
        Standing::Ready
        | Standing::Starting
        | Standing::Stopping
        | Standing::Paused
        | Standing::Draining => None,
    };
    let ready = matches!(state, Standing::Ready | Standing::Partly);
    Ready { version: VERSION, ready, state, reason, age }
}

/// How it is. With more outcomes waiting than `outbox_max` nothing is claimed.
pub(super) fn health(
    status: &StatusView,
    app: &calls::Seen,
    engine: Option<&calls::Seen>,
    room: Room,
    outbox_max: usize,
) -> Health {
    let dependencies = Dependencies {
        app: called(app),
        engine: engine.map_or_else(|| Dependency::plain(State::NotNeeded, None), called),
        disk: disk(room),
        outbox: outbox(status, outbox_max),
    };
    let Dependencies { app, engine, disk, outbox } = &dependencies;
    let all = [app, engine, disk, outbox].map(|one| match one.state {
        State::Up | State::Unknown | State::NotNeeded => Verdict::Healthy,
        State::Degraded => Verdict::Degraded,
        State::Down => Verdict::Unhealthy,
    });
    let status = all.into_iter().max().unwrap_or(Verdict::Healthy);
    Health { version: VERSION, status, dependencies }
}

impl Dependency {
    const fn plain(state: State, problem: Option<String>) -> Self {
        Self { state, latency_millis: None, age: None, problem }
    }
}

fn called(seen: &calls::Seen) -> Dependency {
    let Some(last) = &seen.last else { return Dependency::plain(State::Unknown, None) };
    let problem = last.problem.clone().or_else(|| seen.key_refused.clone());
    Dependency {
        state: if problem.is_some() { State::Down } else { State::Up },
        latency_millis: Some((last.took.as_secs_f64() * 1e6).round() / 1e3),
        age: Some(last.at.elapsed().as_secs()),
        problem,
    }
}

/// Nothing is claimed below the floor; people are told earlier.
fn disk(room: Room) -> Dependency {
    let disks = [("the state directory", room.state_free), ("the engine", room.engine_free)];
    let known = disks.into_iter().filter_map(|(of, free)| Some((free?, of)));
    let Some((free, of)) = known.min() else { return Dependency::plain(State::Unknown, None) };
    let state = match room.floor {
        floor if free < floor => State::Down,
        floor if free < floor.saturating_mul(2) => State::Degraded,
        _ => State::Up,
    };
    let problem = (state != State::Up).then(|| {
        let (free, floor) = (free >> 20, room.floor >> 20);
        format!("{free} MiB are free for {of}, and DISK_FLOOR_MIB asks for {floor}: make room")
    });
    Dependency::plain(state, problem)
}

fn outbox(status: &StatusView, max: usize) -> Dependency {
    let Some(oldest) = status.outbox.iter().max_by_key(|waiting| waiting.age) else {
        return Dependency::plain(State::Up, None);
    };
    let waiting = status.outbox.len();
    let down = waiting > max || !status.alarms.is_empty();
    let state = if down { State::Down } else { State::Degraded };
    let problem = format!(
        "{waiting} outcomes wait for the app, the oldest for {} s: {}",
        oldest.age, oldest.problem
    );
    Dependency::plain(state, Some(problem))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api_client::JobId;

    use super::*;
    use crate::board::{Board, Trouble};
    use crate::calls::Calls;
    use crate::idle::{Condition, Hold};

    const ROOM: Room = Room {
        state_free: Some(8 << 30),
        engine_free: None,
        floor: 1 << 30,
        workspaces: 0,
        caches: None,
        logs: None,
    };

    fn seen(problem: Option<&str>) -> calls::Seen {
        let calls = Calls::new();
        calls.note("ping", Duration::from_millis(2), problem.map(str::to_owned));
        calls.seen()
    }

    fn of(board: &Board, engine: &calls::Seen, room: Room) -> Health {
        health(&board.snapshot(), &seen(None), Some(engine), room, 1)
    }

    #[test]
    fn everything_up_is_healthy_and_tells_latencies() {
        let health = of(&Board::default(), &seen(None), ROOM);
        assert_eq!(health.status, Verdict::Healthy);
        assert_eq!(health.dependencies.engine.latency_millis, Some(2.0));
        let unknown = of(&Board::default(), &Calls::new().seen(), Room::default());
        assert_eq!(unknown.status, Verdict::Healthy, "what is not known yet is no fault");
    }

    #[test]
    fn one_that_is_down_makes_it_unhealthy_and_says_why() {
        let health = of(&Board::default(), &seen(Some("is Docker running?")), ROOM);
        assert_eq!(health.status, Verdict::Unhealthy);
        let engine = health.dependencies.engine;
        assert_eq!(
            (engine.state, engine.problem.as_deref()),
            (State::Down, Some("is Docker running?"))
        );
    }

    #[test]
    fn a_disk_is_told_of_before_it_stops_the_claims() {
        for (free, verdict) in
            [(900, Verdict::Unhealthy), (1_500, Verdict::Degraded), (2_048, Verdict::Healthy)]
        {
            let room = Room { state_free: Some(free << 20), ..ROOM };
            assert_eq!(of(&Board::default(), &seen(None), room).status, verdict, "{free}");
        }
        let none = Room { state_free: Some(1), floor: 0, ..ROOM };
        assert_eq!(of(&Board::default(), &seen(None), none).status, Verdict::Healthy);
    }

    #[test]
    fn outcomes_that_wait_degrade_and_too_many_or_a_refused_key_are_worse() {
        let board = Board::default();
        board.outcome_waits(JobId::random(), "no answer", Trouble::Passing);
        assert_eq!(of(&board, &seen(None), ROOM).status, Verdict::Degraded);
        board.outcome_waits(JobId::random(), "no answer", Trouble::Passing);
        assert_eq!(of(&board, &seen(None), ROOM).status, Verdict::Unhealthy);
        let board = Board::default();
        board.outcome_waits(JobId::random(), "401", Trouble::Key);
        assert_eq!(of(&board, &seen(None), ROOM).status, Verdict::Unhealthy);
    }

    #[test]
    fn readiness_has_one_reason_and_the_operators_wish_comes_first() {
        let board = Board::default();
        let all = Facts { gate: GateState::Open, stopping: false, asked: true, holds: None };
        let state = |facts| {
            let ready = ready(facts, &board.snapshot());
            assert_eq!(ready.reason.is_none(), ready.state == Standing::Ready, "{ready:?}");
            (ready.ready, ready.state)
        };
        assert_eq!(state(all), (true, Standing::Ready));
        assert_eq!(state(Facts { asked: false, ..all }), (false, Standing::Starting));
        board.hold_some(Hold {
            condition: Condition::Image,
            text: "an image is missing".to_owned(),
        });
        let partly = Facts { holds: board.holds(), ..all };
        assert_eq!(state(partly), (true, Standing::Partly));
        board.hold(Some(Hold { condition: Condition::Engine, text: "no answer".to_owned() }));
        let held = Facts { holds: board.holds(), ..all };
        assert_eq!(state(held), (false, Standing::Held));
        let paused = Facts { gate: GateState::Paused, ..held };
        assert_eq!(state(paused), (false, Standing::Paused));
        let draining = Facts { gate: GateState::Draining, ..held };
        assert_eq!(state(draining), (false, Standing::Draining));
        assert_eq!(state(Facts { stopping: true, ..held }), (false, Standing::Stopping));
        board.hold(None);
        assert_eq!(board.holds(), None);
    }
}
