//! How a build shows how far it is, on standard error: one line that changes on a terminal, else one for each
//! step that is done anew.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use rustix::termios::tcgetwinsize;

use crate::config::Screen;
use crate::engine::{BuildEvent, Step};
use crate::explain::lines::plain;
use crate::paper;

/// The width where there is no terminal, in characters.
const WIDTH: usize = 100;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talkative {
    /// Steps.
    Steps,
    /// Every line that they print, too.
    Lines,
}

/// Where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Screenful {
    /// A line that is written over.
    OneLine,
    /// Line by line.
    Log,
}

/// How far a build is.
#[derive(Debug)]
pub(crate) struct Progress<W = io::Stderr> {
    to: W,
    screen: Screenful,
    talkative: Talkative,
    begun: Instant,
    step: Option<(Step, Instant)>,
    /// Whether the step was told already.
    told: bool,
    /// How many steps there were before this part of the build, and how many come after it.
    before: usize,
    after: usize,
    /// How many were known.
    known: usize,
    done: usize,
}

impl Progress {
    /// Told on standard error.
    pub(crate) fn on_stderr(screen: &Screen, talkative: Talkative) -> Self {
        let is_terminal = io::stderr().is_terminal() && screen.terminal.as_deref() != Some("dumb");
        let one_line = is_terminal && talkative == Talkative::Steps;
        Self::new(
            io::stderr(),
            if one_line { Screenful::OneLine } else { Screenful::Log },
            talkative,
        )
    }
}

impl<W: Write> Progress<W> {
    fn new(to: W, screen: Screenful, talkative: Talkative) -> Self {
        let begun = Instant::now();
        let (step, told) = (None, false);
        Self { to, screen, talkative, begun, step, told, before: 0, after: 0, known: 0, done: 0 }
    }

    /// A part of the build begins, after which so many steps come.
    pub(super) fn part(&mut self, after: usize) {
        self.before = self.done;
        self.after = after;
    }

    /// How long it took so far.
    pub(super) fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How many steps there were, and how many of them were known.
    pub(super) const fn steps(&self) -> (usize, usize) {
        (self.done, self.known)
    }

    /// Takes what the build says.
    pub(super) fn take(&mut self, event: BuildEvent) {
        match event {
            BuildEvent::Step(step) => {
                self.tell_step();
                self.done += 1;
                self.step = Some((step, Instant::now()));
                self.told = false;
            }
            BuildEvent::Known => {
                self.known += 1;
                self.told = self.screen == Screenful::Log && self.talkative == Talkative::Steps;
            }
            BuildEvent::Line(line) => {
                self.tell_step();
                if self.talkative == Talkative::Lines {
                    self.write(&format!("    {}\n", plain(&line)));
                }
            }
            BuildEvent::Tick => self.tell_step(),
        }
        if self.screen == Screenful::OneLine {
            self.redraw();
        }
    }

    /// Nothing is written over any more.
    pub(super) fn end(&mut self) {
        if self.screen == Screenful::OneLine {
            self.write("\r\u{1b}[K");
        }
    }

    /// In a log a step is told when it is known that it is done anew.
    fn tell_step(&mut self) {
        if self.screen == Screenful::OneLine || std::mem::replace(&mut self.told, true) {
            return;
        }
        let after = paper::seconds(self.begun.elapsed().as_secs());
        if let Some(line) = self.line(WIDTH) {
            self.write(&format!("{after:>8}  {line}\n"));
        }
    }

    fn redraw(&mut self) {
        let columns = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { WIDTH } else { columns };
        let Some((_, since)) = &self.step else { return };
        let took = paper::seconds(since.elapsed().as_secs());
        // The last column stays free: some terminals begin a new line there.
        let room = columns.saturating_sub(took.len() + 3);
        if let Some(line) = self.line(room) {
            self.write(&format!("\r\u{1b}[K{line}  {took}"));
        }
    }

    fn line(&self, width: usize) -> Option<String> {
        let (Step { number, count, text }, _) = self.step.as_ref()?;
        let (number, count) = (self.before + number, self.before + count + self.after);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = plain(&format!("step {number:>2} of {count}  {words}"));
        if line.chars().count() <= width {
            return Some(line);
        }
        let cut: String = line.chars().take(width.saturating_sub(1)).collect();
        Some(format!("{cut}…"))
    }

    fn write(&mut self, text: &str) {
        // Who does not look does not need it.
        let _seen = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: usize, text: &str) -> BuildEvent {
        BuildEvent::Step(Step { number, count: 3, text: text.to_owned() })
    }

    fn told(screen: Screenful, talkative: Talkative) -> String {
        let mut progress = Progress::new(Vec::new(), screen, talkative);
        progress.part(2);
        let line = |text: &str| BuildEvent::Line(text.to_owned());
        let events = [
            step(1, "FROM x"),
            BuildEvent::Known,
            step(2, "RUN  make     all"),
            line("\u{1b}[31mmaking"),
            BuildEvent::Tick,
            step(3, &"long ".repeat(60)),
            BuildEvent::Tick,
        ];
        events.into_iter().for_each(|event| progress.take(event));
        progress.part(0);
        progress.take(step(1, "COPY y"));
        progress.take(BuildEvent::Tick);
        assert_eq!(progress.steps(), (4, 1));
        progress.end();
        String::from_utf8(progress.to).unwrap()
    }

    #[test]
    fn a_log_has_one_line_for_each_step_that_is_done_anew() {
        let text = told(Screenful::Log, Talkative::Steps);
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        assert_eq!(lines[0], "0s  step  2 of 5  RUN make all");
        assert!(lines[1].starts_with("0s  step  3 of 5  long long") && lines[1].ends_with('…'));
        assert_eq!(lines[2..], ["0s  step  4 of 6  COPY y"]);
    }

    #[test]
    fn every_line_is_told_where_that_is_asked_for_without_what_a_terminal_obeys() {
        let text = told(Screenful::Log, Talkative::Lines);
        assert!(text.contains("RUN make all\n    making\n"), "{text}");
    }

    #[test]
    fn a_terminal_has_one_line_that_is_gone_at_the_end() {
        let text = told(Screenful::OneLine, Talkative::Steps);
        assert!(!text.contains('\n') && text.ends_with("\r\u{1b}[K"), "{text:?}");
        assert!(text.contains("\r\u{1b}[Kstep  2 of 5  RUN make all  0s"), "{text:?}");
    }
}
