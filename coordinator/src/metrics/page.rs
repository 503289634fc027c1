//! What is known, as the page that Prometheus reads. Pure.

use std::time::Duration;

use super::family as f;
use super::tally::{Claimed, Phase, Retry, Tally};
use super::text::{Text, float};
use crate::board::{JobStage, Queue, StatusView};
use crate::breaker::{BreakerState, Dependency};
use crate::calls;
use crate::gate::GateState;

/// Everything that the page shows.
#[derive(Debug)]
pub(crate) struct Sights {
    pub(crate) status: StatusView,
    pub(crate) tally: Tally,
    pub(crate) gate: GateState,
    pub(crate) ready: bool,
    /// Of the agent that began first.
    pub(crate) oldest_run: Option<Duration>,
    pub(crate) since_round: Duration,
    pub(crate) queue: Option<Queue>,
    /// None where no engine is needed.
    pub(crate) engine: Option<calls::Seen>,
    pub(crate) app: calls::Seen,
    pub(crate) room: Room,
    pub(crate) left_out: NotTold,
    pub(crate) process: Process,
}

/// What was left out since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NotTold {
    /// Lines of the coordinator's log.
    pub(crate) log: u64,
    /// Lines of jobs that are not in the journal.
    pub(crate) job_output: u64,
    pub(crate) notifications: u64,
    pub(crate) spans: u64,
}

/// What takes space on disks, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    pub(crate) state_free: Option<u64>,
    /// Where the engine is on this host.
    pub(crate) engine_free: Option<u64>,
    pub(crate) floor: u64,
    pub(crate) workspaces: u64,
    pub(crate) caches: Option<u64>,
    pub(crate) logs: Option<u64>,
}

/// The coordinator itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// In bytes.
    pub(crate) resident: Option<u64>,
    /// In seconds since 1970.
    pub(crate) started: u64,
}

/// The page.
pub(crate) fn page(sights: &Sights) -> String {
    let mut text = Text::default();
    claims(&mut text, sights);
    jobs(&mut text, sights);
    waiting(&mut text, sights);
    dependencies(&mut text, sights);
    spent(&mut text, &sights.tally);
    space(&mut text, &sights.room);
    left_out(&mut text, sights.left_out);
    process(&mut text, sights.process);
    text.finish()
}

fn claims(text: &mut Text, sights: &Sights) {
    let Sights { status, tally, .. } = sights;
    text.family(&f::BUILD).value(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.family(&f::READY).value(&[], flag(sights.ready));
    let held = status.held.as_ref().map_or(0, |held| held.age);
    text.family(&f::HELD).value(&[], float(held));
    let mut gate = text.family(&f::GATE);
    for state in GateState::ALL {
        gate.value(&[("state", state.name())], flag(state == sights.gate));
    }
    text.family(&f::ROUND_AGE).value(&[], sights.since_round.as_secs_f64());
    let mut claims = text.family(&f::CLAIMS);
    for (claimed, count) in Claimed::ALL.into_iter().zip(tally.claims) {
        claims.value(&[("result", claimed.name())], float(count));
    }
    text.family(&f::SLOTS).value(&[], number(status.slots));
    text.family(&f::SLOTS_USED).value(&[], number(status.slots_used));
    if let Some(queue) = &sights.queue {
        text.family(&f::QUEUE).value(&[], float(queue.jobs));
        text.family(&f::QUEUE_AGE).value(&[], float(queue.oldest_sec));
        text.family(&f::QUEUE_PARKED).value(&[], float(queue.parked));
        text.family(&f::QUEUE_OVER_BUDGET).value(&[], float(queue.over_budget));
    }
}

fn jobs(text: &mut Text, sights: &Sights) {
    let Sights { status, tally, .. } = sights;
    let mut ended = text.family(&f::JOBS_ENDED);
    for ((outcome, cause, exit), count) in &tally.ended {
        let labels = [("outcome", *outcome), ("cause", *cause), ("exit", exit.as_str())];
        ended.value(&labels, float(*count));
    }
    let mut held = text.family(&f::JOBS);
    for stage in JobStage::ALL {
        let count = status.jobs.iter().filter(|job| job.stage == stage).count();
        held.value(&[("stage", stage.name())], number(count));
    }
    let oldest = sights.oldest_run.unwrap_or_default();
    text.family(&f::OLDEST_JOB).value(&[], oldest.as_secs_f64());
    let mut phases = text.family(&f::PHASES);
    for (phase, times) in Phase::ALL.into_iter().zip(&tally.phases) {
        phases.histogram(&[("phase", phase.name())], times);
    }
}

fn waiting(text: &mut Text, sights: &Sights) {
    let Sights { status, tally, .. } = sights;
    let mut retries = text.family(&f::RETRIES);
    for (retry, count) in Retry::ALL.into_iter().zip(tally.retries) {
        retries.value(&[("of", retry.name())], float(count));
    }
    text.family(&f::OUTBOX).value(&[], number(status.outbox.len()));
    let oldest = status.outbox.iter().map(|waits| waits.age).max();
    text.family(&f::OUTBOX_AGE).value(&[], float(oldest.unwrap_or(0)));
    text.family(&f::ALARMS).value(&[], number(status.alarms.len()));
}

fn dependencies(text: &mut Text, sights: &Sights) {
    let mut breakers = text.family(&f::BREAKERS);
    for dependency in Dependency::ALL {
        let name = dependency.name();
        let now = sights.status.breakers.get(name).map(String::as_str);
        for state in BreakerState::ALL {
            let state = state.to_string();
            let labels = [("dependency", name), ("state", state.as_str())];
            breakers.value(&labels, flag(now == Some(state.as_str())));
        }
    }
    let calls = [("engine", sights.engine.as_ref()), ("app", Some(&sights.app))];
    let mut up = text.family(&f::UP);
    for (name, seen) in calls {
        if let Some(last) = seen.and_then(|seen| seen.last.as_ref()) {
            up.value(&[("dependency", name)], flag(last.problem.is_none()));
        }
    }
    text.family(&f::KEY_REFUSED).value(&[], flag(sights.app.key_refused.is_some()));
    let families = [(&f::ENGINE_CALLS, &f::ENGINE_UNANSWERED), (&f::APP_CALLS, &f::APP_UNANSWERED)];
    for ((took, unanswered), (_, seen)) in families.into_iter().zip(calls) {
        let Some(seen) = seen else { continue };
        let mut times = text.family(took);
        for (operation, of) in &seen.operations {
            times.histogram(&[("operation", operation)], &of.took);
        }
        let mut lost = text.family(unanswered);
        for (operation, of) in &seen.operations {
            lost.value(&[("operation", operation)], float(of.unanswered));
        }
    }
}

fn spent(text: &mut Text, tally: &Tally) {
    let mut tokens = text.family(&f::TOKENS);
    for (model, spent) in &tally.models {
        let kinds = [("input", spent.input), ("cached", spent.cached), ("output", spent.output)];
        for (kind, count) in kinds {
            tokens.value(&[("model", model), ("kind", kind)], float(count));
        }
    }
    let mut money = text.family(&f::MONEY);
    for (model, spent) in &tally.models {
        money.value(&[("model", model)], spent.money_usd);
    }
    let mut turns = text.family(&f::TURNS);
    for (ending, count) in &tally.turns {
        turns.value(&[("ending", ending)], float(*count));
    }
}

fn space(text: &mut Text, room: &Room) {
    text.family(&f::WORKSPACE).value(&[], float(room.workspaces));
    let mut free = text.family(&f::DISK_FREE);
    for (disk, bytes) in [("state", room.state_free), ("engine", room.engine_free)] {
        if let Some(bytes) = bytes {
            free.value(&[("disk", disk)], float(bytes));
        }
    }
    text.family(&f::DISK_FLOOR).value(&[], float(room.floor));
    for (family, bytes) in [(&f::CACHE, room.caches), (&f::LOGS, room.logs)] {
        if let Some(bytes) = bytes {
            text.family(family).value(&[], float(bytes));
        }
    }
}

fn left_out(text: &mut Text, not_told: NotTold) {
    let NotTold { log, job_output, notifications, spans } = not_told;
    let mut left_out = text.family(&f::LEFT_OUT);
    let counts = [
        ("log", log),
        ("job_output", job_output),
        ("notifications", notifications),
        ("spans", spans),
    ];
    for (of, count) in counts {
        left_out.value(&[("of", of)], float(count));
    }
}

fn process(text: &mut Text, process: Process) {
    if let Some(bytes) = process.resident {
        text.family(&f::RESIDENT).value(&[], float(bytes));
    }
    text.family(&f::STARTED).value(&[], float(process.started));
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

fn number(count: usize) -> f64 {
    float(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::board::Board;
    use crate::calls::Calls;

    impl Sights {
        /// What a board knows, and of the rest everything.
        pub(crate) fn of(board: &Board) -> Self {
            let (engine, app) = (Calls::new(), Calls::new());
            engine.note("ping", Duration::from_millis(2), None);
            app.note("start", Duration::from_millis(30), Some("no answer".to_owned()));
            Self {
                status: board.snapshot(),
                tally: board.tally(),
                gate: GateState::Open,
                ready: true,
                oldest_run: Some(Duration::from_secs(90)),
                since_round: Duration::from_secs(3),
                queue: Some(Queue { jobs: 7, oldest_sec: 60, ..Queue::default() }),
                engine: Some(engine.seen()),
                app: app.seen(),
                room: Room {
                    state_free: Some(1 << 30),
                    engine_free: Some(1 << 31),
                    caches: Some(5),
                    logs: Some(6),
                    ..Room::default()
                },
                left_out: NotTold { log: 9, ..NotTold::default() },
                process: Process { resident: Some(8 << 20), started: 1_800_000_000 },
            }
        }
    }

    fn sights() -> Sights {
        Sights::of(&Board::default())
    }

    #[test]
    fn the_page_has_every_metric_once_and_each_line_has_its_own_labels() {
        let page = page(&sights());
        let begun: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let names: BTreeSet<_> = begun.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, f::ALL.iter().map(|family| family.name).collect());
        assert_eq!(names.len(), begun.len());
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        let series = samples.iter().filter_map(|line| line.rsplit_once(' ').map(|(s, _)| s));
        assert_eq!(series.collect::<BTreeSet<_>>().len(), samples.len());
        assert!(samples.len() < 300, "{}", samples.len());
    }

    #[test]
    fn what_was_left_out_is_counted_by_what_it_was() {
        let page = page(&sights());
        for (of, count) in [("log", 9), ("job_output", 0), ("notifications", 0), ("spans", 0)] {
            let sample = format!("terarchitect_left_out_total{{of=\"{of}\"}} {count}\n");
            assert!(page.contains(&sample), "{page}");
        }
    }

    #[test]
    fn jobs_that_wait_for_a_limit_or_a_budget_are_told_beside_the_backlog() {
        let queue = Queue { jobs: 7, parked: 2, over_budget: 3, ..Queue::default() };
        let page = page(&Sights { queue: Some(queue), ..sights() });
        for sample in ["jobs 7", "parked_jobs 2", "over_budget_jobs 3"] {
            assert!(page.contains(&format!("\nterarchitect_queue_{sample}\n")), "{page}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_never_told_as_nothing() {
        let unknown = Sights { queue: None, engine: None, room: Room::default(), ..sights() };
        let page = page(&unknown);
        for name in ["queue_jobs", "engine_request", "disk_free_bytes{", "cache_bytes"] {
            assert!(
                !page.lines().any(|line| !line.starts_with('#') && line.contains(name)),
                "{name}"
            );
        }
        assert!(page.contains("terarchitect_dependency_up{dependency=\"app\"} 0\n"), "{page}");
        assert!(!page.contains("terarchitect_dependency_up{dependency=\"engine\"}"));
    }
}
