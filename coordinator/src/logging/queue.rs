//! What waits to be written: the coordinator's own lines, and those of jobs.
//!
//! Invariants: who says something waits for nothing, whatever becomes of what is said; memory is bounded;
//! own lines go first; what does not fit is counted, and told at the place where it is missing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

use super::line::Line;
use crate::left_out::LeftOut;

/// Most own lines that wait. Beyond it all are left out until those have been written, so that one line
/// tells of them.
const OWN: usize = 4_000;

/// Most lines of jobs that wait.
const JOBS: usize = 2_000;

/// Lines of all jobs together: so many at once, and so many in a second from then on. The journal takes
/// 10,000 in 30 seconds of a service by default, and would drop the coordinator's own lines beyond that.
const BURST: u32 = 2_000;
const RATE: u32 = 200;

/// How often is told what was left out of jobs' output.
const TOLD: Duration = Duration::from_secs(10);

/// What is to be written.
#[derive(Debug)]
pub(super) enum Item {
    /// A line of the coordinator's own.
    Own(Line),
    /// A line of a job, in the journal's form.
    Job(Vec<u8>),
}

/// Lines on their way.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    own_left_out: LeftOut,
    jobs_left_out: LeftOut,
}

#[derive(Debug)]
struct State {
    own: VecDeque<Line>,
    jobs: VecDeque<Vec<u8>>,
    bucket: Bucket,
    told: Instant,
    life: Life,
}

/// Whether more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// What waits is written yet.
    Closed,
    /// Nothing waits and nothing comes.
    Over,
}

impl Queue {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            own: VecDeque::new(),
            jobs: VecDeque::new(),
            bucket: Bucket::new(now),
            told: now,
            life: Life::Open,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            own_left_out: LeftOut::default(),
            jobs_left_out: LeftOut::default(),
        }
    }

    /// Takes an own line.
    pub(super) fn put(&self, line: Line) {
        let mut state = self.state();
        if state.own.len() >= OWN || self.own_left_out.is_to_be_told() || state.life == Life::Over {
            self.own_left_out.add(1);
        } else {
            state.own.push_back(line);
            self.changed.notify_all();
        }
    }

    /// Takes a line of a job.
    pub(super) fn put_of_job(&self, entry: Vec<u8>) {
        let mut state = self.state();
        if state.jobs.len() < JOBS && state.bucket.takes(Instant::now()) {
            state.jobs.push_back(entry);
            self.changed.notify_all();
        } else {
            self.jobs_left_out.add(1);
        }
    }

    /// Waits for what is to be written next; nothing once the queue is closed and empty.
    pub(super) fn next(&self) -> Option<Item> {
        let mut state = self.state();
        loop {
            if let Some(line) = state.own.pop_front().or_else(|| self.tell(&mut state)) {
                return Some(Item::Own(line));
            }
            if let Some(entry) = state.jobs.pop_front() {
                return Some(Item::Job(entry));
            }
            if state.life != Life::Open {
                return None;
            }
            let wait = self.changed.wait_timeout(state, TOLD);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The line that says what was left out, where one is due.
    fn tell(&self, state: &mut State) -> Option<Line> {
        if self.own_left_out.is_to_be_told() {
            let count = self.own_left_out.tell();
            let text = format!("{count} lines of the log were left out here: they came too fast");
            return Some(Line::said(Level::WARN, module_path!(), text));
        }
        let is_end = state.life != Life::Open && state.jobs.is_empty();
        let is_time = state.told.elapsed() >= TOLD || is_end;
        if !(is_time && self.jobs_left_out.is_to_be_told()) {
            return None;
        }
        state.told = Instant::now();
        let count = self.jobs_left_out.tell();
        let text = format!(
            "{count} lines of jobs' output are not in the journal; the log files have them"
        );
        Some(Line::said(Level::WARN, module_path!(), text))
    }

    /// This could not be written. Of an own line nobody could be told either.
    pub(super) fn not_written(&self, item: &Item) {
        match item {
            Item::Own(_) => self.own_left_out.add_told(1),
            Item::Job(_) => self.jobs_left_out.add(1),
        }
    }

    /// Nothing more is written.
    pub(super) fn over(&self) {
        self.state().life = Life::Over;
        self.changed.notify_all();
    }

    /// Has what waits written, and waits for that no longer than `limit`; whether it is.
    pub(super) fn close(&self, limit: Duration) -> bool {
        let mut state = self.state();
        if state.life == Life::Open {
            state.life = Life::Closed;
        }
        self.changed.notify_all();
        let wait = |state: &mut State| state.life != Life::Over;
        let state = self.changed.wait_timeout_while(state, limit, wait);
        state.unwrap_or_else(PoisonError::into_inner).0.life == Life::Over
    }

    /// How many own lines were left out since the start.
    pub(super) fn own_left_out(&self) -> u64 {
        self.own_left_out.all()
    }

    /// How many lines of jobs.
    pub(super) fn jobs_left_out(&self) -> u64 {
        self.jobs_left_out.all()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bound on lines: [`BURST`] at once, [`RATE`] a second.
#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self { left: f64::from(BURST), filled: now }
    }

    fn takes(&mut self, now: Instant) -> bool {
        let since = now.duration_since(self.filled).as_secs_f64();
        self.left = (self.left + since * f64::from(RATE)).min(f64::from(BURST));
        self.filled = now;
        let takes = self.left >= 1.0;
        if takes {
            self.left -= 1.0;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::said(Level::INFO, "coordinator::work", text.to_owned())
    }

    fn text(item: Item) -> String {
        match item {
            Item::Own(line) => line.message,
            Item::Job(entry) => String::from_utf8(entry).unwrap(),
        }
    }

    fn all(queue: &Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.next()).map(text).collect()
    }

    #[test]
    fn who_says_too_much_waits_for_nothing_and_the_log_says_once_where_how_much_is_missing() {
        let queue = Queue::new();
        (0..OWN + 10).for_each(|number| queue.put(line(&number.to_string())));
        assert_eq!(queue.own_left_out(), 10);
        for number in 0..OWN {
            assert_eq!(text(queue.next().unwrap()), number.to_string());
        }
        assert!(text(queue.next().unwrap()).starts_with("10 lines of the log were left out"));
        queue.put(line("after"));
        queue.close(Duration::ZERO);
        assert_eq!(all(&queue), ["after"]);
        assert_eq!(queue.own_left_out(), 10);
    }

    #[test]
    fn a_flood_of_jobs_costs_no_line_of_the_coordinator_and_is_told_at_the_end() {
        let queue = Queue::new();
        (0..3 * JOBS).for_each(|_| queue.put_of_job(b"x".to_vec()));
        queue.put(line("own"));
        queue.close(Duration::ZERO);
        let all = all(&queue);
        assert_eq!(all[0], "own");
        assert_eq!(all.len(), 2 + JOBS);
        let told = format!("{} lines of jobs' output", 2 * JOBS);
        assert!(all[1 + JOBS].starts_with(&told), "{}", all[1 + JOBS]);
    }

    #[test]
    fn output_that_cannot_be_written_at_the_end_is_told_in_one_line() {
        let queue = Queue::new();
        (0..9).for_each(|_| queue.put_of_job(b"x".to_vec()));
        queue.close(Duration::ZERO);
        let mut told = Vec::new();
        while let Some(item) = queue.next() {
            match item {
                Item::Job(_) => queue.not_written(&item),
                Item::Own(_) => told.push(text(item)),
            }
        }
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("9 lines"), "{told:?}");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_no_line_tells_of_it_for_ever() {
        let queue = Queue::new();
        queue.not_written(&Item::Own(line("x")));
        queue.close(Duration::ZERO);
        assert!(queue.next().is_none());
        assert_eq!(queue.own_left_out(), 1);
    }

    #[test]
    fn the_bound_is_a_burst_and_then_a_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(now);
        assert_eq!((0..2 * BURST).filter(|_| bucket.takes(now)).count(), BURST as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..BURST).filter(|_| bucket.takes(later)).count(), RATE as usize);
    }
}
