//! What the job's log is told: each refusal, or each host that was learned, as one line.
//!
//! Invariant: whoever causes the lines can neither flood the log nor break a line: the same refusal is
//! told once in a while with a count, all of them together have a limit, and what is quoted has no
//! control characters and is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::host::Target;

/// For how long the same refusal is only counted.
const QUIET: Duration = Duration::from_secs(10);
/// How many refusals are told in that time.
const LINES_MAX: u32 = 30;
/// How many different refusals are remembered.
const REFUSALS_MAX: usize = 512;
/// How many hosts are learned.
const LEARNED_MAX: usize = 1_000;
/// Longest quotation, in characters.
const QUOTED_MAX: usize = 255;

/// The lines on standard output.
#[derive(Debug)]
pub(crate) struct Journal {
    state: Mutex<State>,
}

/// What was told already. No clock and no output.
#[derive(Debug)]
struct State {
    refusals: BTreeMap<String, Refusal>,
    window: Instant,
    lines: u32,
    /// Refusals that were neither told nor are counted with another one.
    untold: u64,
    learned: BTreeSet<Target>,
}

#[derive(Debug)]
struct Refusal {
    told: Instant,
    since: u64,
}

impl Journal {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::new(Instant::now())) }
    }

    /// `what`, such as `CONNECT evil.example:443`, was refused.
    pub(crate) fn refused(&self, what: &str, why: &dyn Display) {
        self.tell(|state| state.refused(Instant::now(), &quoted(what), why));
    }

    /// This was let through because it is being learned.
    pub(crate) fn learned(&self, target: &Target) {
        self.tell(|state| state.learned(target));
    }

    /// The last lines.
    pub(crate) fn close(&self) {
        self.tell(State::close);
    }

    fn tell(&self, lines: impl FnOnce(&mut State) -> Vec<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines(&mut state);
        let mut stdout = io::stdout().lock();
        for line in lines {
            if let Err(error) = writeln!(stdout, "egress: {line}").and_then(|()| stdout.flush()) {
                tracing::debug!(%error, "nobody reads the lines about egress");
            }
        }
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            refusals: BTreeMap::new(),
            window: now,
            lines: 0,
            untold: 0,
            learned: BTreeSet::new(),
        }
    }

    fn refused(&mut self, now: Instant, what: &str, why: &dyn Display) -> Vec<String> {
        let mut lines = self.turn(now);
        let mut earlier = 0;
        if let Some(known) = self.refusals.get_mut(what) {
            if now.duration_since(known.told) < QUIET {
                known.since += 1;
                return lines;
            }
            earlier = known.since;
        }
        if self.lines >= LINES_MAX {
            self.untold += 1;
            return lines;
        }
        self.lines += 1;
        self.refusals.insert(what.to_owned(), Refusal { told: now, since: 0 });
        let count = if earlier > 0 { format!(" ({earlier} more since)") } else { String::new() };
        lines.push(format!("refused {what}: {why}{count}"));
        lines
    }

    /// Begins a new stretch of time where the last one is over.
    fn turn(&mut self, now: Instant) -> Vec<String> {
        if now.duration_since(self.window) < QUIET {
            return Vec::new();
        }
        self.window = now;
        self.lines = 0;
        if self.refusals.len() > REFUSALS_MAX {
            self.untold += self.refusals.values().map(|refusal| refusal.since).sum::<u64>();
            self.refusals.clear();
        }
        self.tell_untold()
    }

    fn tell_untold(&mut self) -> Vec<String> {
        let untold = std::mem::take(&mut self.untold);
        let line = (untold > 0).then(|| format!("refused {untold} more, not listed here"));
        line.into_iter().collect()
    }

    fn learned(&mut self, target: &Target) -> Vec<String> {
        if self.learned.len() >= LEARNED_MAX || !self.learned.insert(target.clone()) {
            return Vec::new();
        }
        vec![format!("learned {}", quoted(&target.to_string()))]
    }

    fn close(&mut self) -> Vec<String> {
        self.untold += self.refusals.values().map(|refusal| refusal.since).sum::<u64>();
        self.refusals.clear();
        let mut lines = self.tell_untold();
        if !self.learned.is_empty() {
            let all: Vec<String> = self.learned.iter().map(Target::to_string).collect();
            lines.push(format!("this job needed {}", all.join(", ")));
        }
        lines
    }
}

/// A text of someone else's as it may stand in a line.
fn quoted(text: &str) -> String {
    let plain = |c: char| if c == ' ' { ' '.to_string() } else { c.escape_default().to_string() };
    text.chars().map(plain).collect::<String>().chars().take(QUOTED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHY: &str = "not allowed by AGENT_EGRESS";

    fn state() -> (State, Instant) {
        let now = Instant::now();
        (State::new(now), now)
    }

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn the_same_refusal_is_told_once_in_ten_seconds_with_a_count() {
        let (mut state, start) = state();
        let mut told = Vec::new();
        for second in 0..21 {
            told.extend(state.refused(at(start, second * 1_000), "CONNECT evil.example:443", &WHY));
        }
        let line = "refused CONNECT evil.example:443: not allowed by AGENT_EGRESS";
        let later = format!("{line} (9 more since)");
        assert_eq!(told, [line.to_owned(), later.clone(), later]);
    }

    #[test]
    fn many_different_refusals_do_not_flood_and_are_counted() {
        let (mut state, start) = state();
        let mut told = Vec::new();
        for n in 0..100_000 {
            told.extend(state.refused(start, &format!("DNS A {n}.evil.example"), &WHY));
        }
        assert_eq!(told.len(), 30);
        let next = state.refused(at(start, 10_000), "DNS A x", &WHY);
        assert_eq!(next[0], "refused 99970 more, not listed here");
        assert!(state.refusals.len() <= REFUSALS_MAX);
    }

    #[test]
    fn what_is_only_counted_is_told_at_the_end() {
        let (mut state, start) = state();
        for _ in 0..3 {
            state.refused(start, "DNS A evil.example", &WHY);
        }
        assert_eq!(state.close(), ["refused 2 more, not listed here"]);
    }

    #[test]
    fn a_host_is_learned_once_and_all_are_listed_at_the_end() {
        let (mut state, _) = state();
        let target = |text| Target::parse(text, None).unwrap();
        assert_eq!(state.learned(&target("b.example:443")), ["learned b.example:443"]);
        assert_eq!(state.learned(&target("B.example.:443")), [""; 0]);
        state.learned(&target("a.example:80"));
        assert_eq!(state.close(), ["this job needed a.example:80, b.example:443"]);
    }

    proptest! {
        #[test]
        fn a_quotation_is_one_short_line(text in "(?s).{0,400}") {
            let quoted = quoted(&text);
            prop_assert!(quoted.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
            prop_assert!(quoted.len() <= QUOTED_MAX);
        }
    }
}
