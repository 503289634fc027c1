//! A terminal on a machine: a shell that is told one line after the other, as a person types them, and keeps
//! its variables and its folder in between.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::machine::Done;

/// How long a command may take that a person waits for here.
const PATIENCE: Duration = Duration::from_secs(120);

/// Begins the line that tells of a command's end.
const PROMPT: &str = "--the prompt again--";

type Input = Pin<Box<dyn AsyncWrite + Send>>;
type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// A shell of somebody's.
pub(super) struct Terminal {
    input: Input,
    output: Output,
}

impl Terminal {
    pub(super) fn new(input: Input, output: Output) -> Self {
        Self { input, output }
    }

    /// Types a line, and waits for its end.
    pub(super) async fn run(&mut self, line: &str) -> Done {
        self.enter(line).await;
        let text = self.printed(line, |text| {
            text.rsplit_once(PROMPT).is_some_and(|(_, rest)| rest.contains('\n'))
        });
        let text = text.await;
        let (text, code) = text.rsplit_once(PROMPT).expect("it was waited for");
        Done { code: code.trim().parse().unwrap_or(-1), text: text.trim().to_owned() }
    }

    /// Types a line that runs on, and waits until it has printed these words.
    pub(super) async fn leave(&mut self, line: &str, words: &str) {
        self.enter(line).await;
        let text = self.printed(line, |text| text.contains(words) || text.contains(PROMPT)).await;
        assert!(text.contains(words), "{line}: it was to run on: {text}");
    }

    /// What it reads is not what is typed next.
    async fn enter(&mut self, line: &str) {
        let quoted = line.replace('\'', r"'\''");
        let text = format!("eval '{quoted}\n' </dev/null 2>&1; echo \"{PROMPT}$?\"\n");
        self.input.write_all(text.as_bytes()).await.expect("a shell that runs");
        self.input.flush().await.expect("a shell that runs");
    }

    async fn printed(&mut self, line: &str, enough: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        let reading = async {
            while !enough(&text) {
                let piece = self.output.next().await;
                let piece = piece.unwrap_or_else(|| panic!("{line}: the shell is gone: {text}"));
                let piece = piece.expect("what the shell prints").into_bytes();
                text.push_str(&String::from_utf8_lossy(&piece));
            }
        };
        let read = timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "{line}: goes on for {} s: {text}", PATIENCE.as_secs());
        text
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").finish_non_exhaustive()
    }
}
