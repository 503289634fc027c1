//! What the coordinator of a scene did, event by event, over all its lives; and the trap that kills
//! it at one of them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use api_client::JobId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::point::{EventName, Moment, Point, Side};
use crate::harness::{Passage, Step, Watcher};

/// Where the coordinator is to be killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trap {
    /// At this point of its life.
    At(Point),
    /// At this event of its life, whichever it is, counted from 0.
    Event(usize, Moment),
}

/// Something that the coordinator did.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Which life of the coordinator it belongs to, from 1.
    pub(super) life: usize,
    /// What it was.
    pub(super) name: EventName,
    /// Which of its kind in that life, from 1.
    pub(super) nth: usize,
    /// The path as it was.
    pub(super) path: String,
    /// The status of the answer, as far as one was seen.
    pub(super) status: Option<u16>,
    /// The last moment that was seen.
    pub(super) moment: Moment,
    /// Since the scene began, in seconds.
    pub(super) at: f64,
}

/// Whether the engine was about to make a container, a network or a volume when a coordinator was
/// killed: it may do so at any time after that, and no one waits for its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Creation {
    #[default]
    Settled,
    UnderWay,
}

/// The journal of one scene.
#[derive(Debug)]
pub(super) struct Journal {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    life: usize,
    first_of_life: usize,
    events: Vec<Event>,
    trap: Option<Trap>,
    victim: Option<Pid>,
    sprung: Option<Point>,
    creation: Creation,
}

impl Journal {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), state: Mutex::default() })
    }

    /// What looks at the requests to one side.
    pub(super) fn watch(self: &Arc<Self>, side: Side) -> Arc<dyn Watcher> {
        Arc::new(Watch { journal: Arc::clone(self), side })
    }

    /// A coordinator is about to be started.
    pub(super) fn begin_life(&self, trap: Option<Trap>) {
        let mut state = self.state();
        state.life += 1;
        state.first_of_life = state.events.len();
        (state.trap, state.victim, state.sprung) = (trap, None, None);
    }

    /// It was started as this process.
    pub(super) fn victim(&self, pid: u32) {
        let mut state = self.state();
        state.victim = Some(Pid::from_raw(pid.cast_signed()));
        if state.sprung.is_some() {
            state.kill();
        }
    }

    /// Whether a thread is one of the coordinator's.
    pub(super) fn is_of_victim(&self, thread: i32) -> bool {
        let victim = self.state().victim;
        victim.is_some_and(|pid| Path::new(&format!("/proc/{pid}/task/{thread}")).exists())
    }

    /// It is over with this life: nothing is killed any more. Tells whether nothing was.
    pub(super) fn disarm(&self) -> bool {
        let mut state = self.state();
        (state.trap, state.victim) = (None, None);
        state.sprung.is_none()
    }

    /// Where it was killed in this life.
    pub(super) fn sprung(&self) -> Option<Point> {
        self.state().sprung.clone()
    }

    /// A change in the state directory begins.
    pub(super) fn change(&self, call: &str, path: &str) -> usize {
        self.begin(EventName::of_change(call, path), path)
    }

    /// An event has come to a moment; tells whether the coordinator was killed at it.
    pub(super) fn reach(&self, event: usize, moment: Moment) -> bool {
        let mut state = self.state();
        let seen = &mut state.events[event];
        seen.moment = moment;
        let point = Point { name: seen.name.clone(), nth: seen.nth, moment };
        let of_life = event.checked_sub(state.first_of_life);
        let hit = match (&state.trap, of_life) {
            (None, _) | (_, None) => false,
            (Some(Trap::At(trap)), _) => *trap == point,
            (Some(Trap::Event(number, trap)), Some(event)) => *number == event && *trap == moment,
        };
        if hit {
            state.trap = None;
            state.sprung = Some(point);
            state.look_at_creations(event);
            state.kill();
        }
        hit
    }

    /// What it did in a life.
    pub(super) fn events(&self, life: usize) -> Vec<Event> {
        let state = self.state();
        state.events.iter().filter(|event| event.life == life).cloned().collect()
    }

    /// Everything that it did.
    pub(super) fn all_events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// Whether any kill left something of the engine's in the making.
    pub(super) fn creation(&self) -> Creation {
        self.state().creation
    }

    /// Whether the engine still makes something that it was asked for.
    pub(super) fn is_making(&self) -> bool {
        let state = self.state();
        let mut sent = state.events.iter().filter(|event| event.moment != Moment::Before);
        sent.any(|event| event.name.is_creation() && event.status.is_none())
    }

    /// The life of now.
    pub(super) fn life(&self) -> usize {
        self.state().life
    }

    /// How often it asked for a job in this life.
    pub(super) fn claims(&self) -> usize {
        self.count(|event| event.name.is_claim())
    }

    /// How often it was told in this life that there is none.
    pub(super) fn empty_claims(&self) -> usize {
        self.count(|event| event.name.is_claim() && event.status == Some(204))
    }

    /// The statuses of the answers to all reports of a job, over all lives.
    pub(super) fn reports(&self, job: JobId) -> Vec<Option<u16>> {
        let ends = ["complete", "fail"].map(|end| format!("/api/worker/jobs/{job}/{end}"));
        let state = self.state();
        let of_job = state.events.iter().filter(|event| ends.contains(&event.path));
        of_job.map(|event| event.status).collect()
    }

    fn count(&self, like: impl Fn(&Event) -> bool) -> usize {
        let state = self.state();
        state.events[state.first_of_life..].iter().filter(|event| like(event)).count()
    }

    fn begin(&self, name: EventName, path: &str) -> usize {
        let at = self.begun.elapsed().as_secs_f64();
        let mut state = self.state();
        let (life, path) = (state.life, path.to_owned());
        let of_life = &state.events[state.first_of_life..];
        let nth = of_life.iter().filter(|event| event.name == name).count() + 1;
        let moment = Moment::Before;
        state.events.push(Event { life, name, nth, path, status: None, moment, at });
        state.events.len() - 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no one panics while it holds this")
    }
}

impl State {
    /// Called for the event that the coordinator is killed at.
    fn look_at_creations(&mut self, killed_at: usize) {
        let mut of_life = self.events.iter().enumerate().skip(self.first_of_life);
        let under_way = of_life.any(|(number, event)| {
            let cut = number == killed_at && event.moment == Moment::Before;
            event.name.is_creation() && event.status.is_none() && !cut
        });
        if under_way {
            self.creation = Creation::UnderWay;
        }
    }

    fn kill(&self) {
        if let Some(victim) = self.victim {
            kill(victim, Signal::SIGKILL).expect("it was not waited for yet");
        }
    }
}

/// Takes the requests to one side down in a journal.
#[derive(Debug)]
struct Watch {
    journal: Arc<Journal>,
    side: Side,
}

impl Watcher for Watch {
    fn request(&self, method: &str, path: &str) -> usize {
        self.journal.begin(EventName::of_request(self.side, method, path), path)
    }

    fn step(&self, request: usize, step: Step) -> Passage {
        let stream = {
            let mut state = self.journal.state();
            let event = &mut state.events[request];
            if let Step::Answered(status) = step {
                event.status = Some(status);
            }
            event.name.is_stream()
        };
        let (moment, passage) = match step {
            Step::Asked => (Moment::Before, Passage::Cut),
            Step::Sent => (Moment::Sent, Passage::HangUp),
            Step::Answered(_) => (Moment::Unanswered, Passage::Cut),
            Step::Passed if stream => (Moment::After, Passage::Cut),
            Step::Ended if stream => (Moment::Ended, Passage::Cut),
            Step::Passed => return Passage::Free,
            Step::Ended => (Moment::After, Passage::Cut),
        };
        if self.journal.reach(request, moment) { passage } else { Passage::Free }
    }
}
