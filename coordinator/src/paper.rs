//! How text for people is written: colours on a terminal that wants them, a pager for what is long,
//! durations and sizes as people read them.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use rustix::termios::tcgetwinsize;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Screen;

/// Longest line of running text, in characters.
const WIDTH: usize = 96;

/// The pager of people who name none: it shows colours, and ends by itself where the text fits.
const PAGER: &str = "less -FRX";

/// What is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paper {
    Plain,
    Coloured,
}

impl Paper {
    /// Standard output.
    pub(crate) fn of_stdout(screen: &Screen) -> Self {
        if io::stdout().is_terminal() && !screen.no_colour { Self::Coloured } else { Self::Plain }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// Writes a text to standard output: by way of a pager where it is a terminal with fewer lines. To be called
/// within a runtime, which has the signals.
pub(crate) fn show(text: &str, screen: &Screen) {
    if !(is_long(text) && by_pager(text, screen)) {
        // A reader that has gone away has read enough.
        let _read = writeln!(io::stdout(), "{text}");
    }
}

fn is_long(text: &str) -> bool {
    let stdout = io::stdout();
    // A terminal that does not tell its size has 0 rows.
    let rows = tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_row));
    stdout.is_terminal() && rows > 0 && text.lines().count() >= rows
}

/// Whether a pager has shown it.
fn by_pager(text: &str, screen: &Screen) -> bool {
    // Ctrl-C is the pager's alone: were we to end of it, the shell would read the terminal with it.
    let _not_ours = (signal(SignalKind::interrupt()), signal(SignalKind::quit()));
    let pager = screen.pager.as_deref().unwrap_or(PAGER);
    // A pager may have arguments: `less -S`.
    let started = Command::new("sh").args(["-c", pager]).stdin(Stdio::piped()).spawn();
    let Ok(mut pager) = started else { return false };
    if let Some(mut input) = pager.stdin.take() {
        let _read = writeln!(input, "{text}");
    }
    // 127: there is no such program.
    pager.wait().is_ok_and(|status| status.code() != Some(127))
}

/// A text as lines of a bounded length, each after so many spaces. Words are not cut.
pub(crate) fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && indent + length > WIDTH {
            lines.push(format!("{:indent$}{line}", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(format!("{:indent$}{line}", ""));
    }
    lines
}

/// A duration in milliseconds, as people read it.
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{}.{}s", millis / 1_000, millis / 100 % 10),
        _ => seconds(millis / 1_000),
    }
}

/// A duration in seconds, as people read it.
pub(crate) fn seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A size in bytes, as people read it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_on_coloured_paper_alone() {
        assert_eq!(Paper::Plain.red("x"), "x");
        assert_eq!(Paper::Coloured.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }

    #[tokio::test]
    async fn an_interrupt_that_is_meant_for_the_pager_does_not_end_us() {
        let pager = "kill -INT $PPID; kill -QUIT $PPID; cat >/dev/null".to_owned();
        let screen = Screen { no_colour: true, pager: Some(pager), terminal: None };
        assert!(by_pager("text", &screen));
        let screen = Screen { pager: Some("no-such-pager".to_owned()), ..screen };
        assert!(!by_pager("text", &screen));
    }

    #[test]
    fn running_text_is_wrapped_between_words() {
        let lines = wrapped(&"word ".repeat(40), 2);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines.iter().all(|line| line.starts_with("  word")));
        assert_eq!(wrapped("", 2), Vec::<String>::new());
    }

    #[test]
    fn durations_and_sizes_are_short() {
        let shown = [400, 9_999, 59_000, 61_000, 7_260_000, 2_592_000_000].map(duration);
        assert_eq!(shown, ["0.4s", "9.9s", "59s", "1m 1s", "2h 1m", "30d 0h"]);
        assert_eq!([12, 2_048, 16 << 20].map(size), ["12 bytes", "2 KiB", "16 MiB"]);
    }
}
