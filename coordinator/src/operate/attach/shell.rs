//! A shell in a container that is gone when its operator is.
//!
//! An engine ends no command that has a terminal when the connection to it breaks off, but it ends the input of one
//! that has none. So two commands are begun: a guard without a terminal, which ends with its input, and a shell that
//! is hung up, and then killed, once its guard has ended. Invariant: no shell is begun before it has a guard.

use std::time::Duration;

use tokio::time::timeout;

use crate::engine::{ContainerRef, Engine, EngineError, Session, SessionSpec};
use crate::explain::lines::plain;

/// Says its number, and waits for a line or the end of its input.
const GUARD: [&str; 3] = ["sh", "-c", "echo $$; read -r line"];

/// The best shell that an image has, and in the background what ends it when the guard `$1` has ended. Only the
/// shell that is left then is killed: what was told to ignore a hang-up (`nohup`) goes on, as in any terminal.
const SHELL: &str = "\
shell=$$
(
    trap '' HUP INT QUIT TERM TSTP
    while kill -0 \"$1\"; do
        kill -0 $shell || exit
        sleep 1
    done
    kill -HUP $shell
    sleep 2
    kill -KILL $shell
) </dev/null >/dev/null 2>&1 &
command -v bash >/dev/null 2>&1 && exec bash
exec sh";

/// How long the guard may take to begin, and to be told that it is over.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// Most of what is kept of the words in the place of the guard's number, in bytes.
const SAID_MAX: usize = 300;

/// What engines say of a user that an image does not have.
const NO_USER: &str = "unable to find user";

/// A shell, and its guard.
pub(super) struct Shell {
    pub(super) session: Session,
    guard: Session,
}

/// No shell was begun.
#[derive(Debug)]
pub(super) enum NotBegun {
    Engine(EngineError),
    /// The image lacks the user, or a shell: in these words.
    Unfit(String),
}

impl Shell {
    /// Begins one as this user, with a terminal of this kind.
    pub(super) async fn begin(
        engine: &Engine,
        container: &ContainerRef,
        user: &str,
        terminal: &str,
    ) -> Result<Self, NotBegun> {
        let spec = SessionSpec { command: &GUARD, user, terminal: None };
        let mut guard = engine.session(container, spec).await.map_err(not_begun)?;
        let number = timeout(BEGINS_WITHIN, number_of(&mut guard)).await;
        let slow = || format!("no answer within {} s", BEGINS_WITHIN.as_secs());
        let number = number.unwrap_or_else(|_| Err(slow())).map_err(NotBegun::Unfit)?;
        let command = ["sh", "-c", SHELL, "sh", &number.to_string()];
        let spec = SessionSpec { command: &command, user, terminal: Some(terminal) };
        let session = engine.session(container, spec).await.map_err(not_begun)?;
        Ok(Self { session, guard })
    }

    /// Ends the shell where it has not ended by itself. Not every engine ends the guard's input when we are gone.
    pub(super) async fn end(mut self) {
        // A guard that cannot be told has ended, or does when its connection is closed.
        let _told = timeout(TOLD_WITHIN, self.guard.input.write(b"\n")).await;
    }
}

/// Later engines refuse a user that is not there, earlier ones say it in the place of the command.
fn not_begun(error: EngineError) -> NotBegun {
    let said = error.to_string();
    if said.contains(NO_USER) { NotBegun::Unfit(said) } else { NotBegun::Engine(error) }
}

/// The process number that the guard tells, in the container; else what was said in its place.
async fn number_of(guard: &mut Session) -> Result<u32, String> {
    let mut said = Vec::new();
    while !said.contains(&b'\n') && said.len() < SAID_MAX {
        let Some(piece) = guard.output.next().await else { break };
        said.extend_from_slice(&piece);
    }
    said.truncate(SAID_MAX);
    let said = String::from_utf8_lossy(&said);
    let line = said.trim();
    line.parse().map_err(|_| plain(line))
}
