//! Watching a container.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use crate::context::Context;
use crate::engine::{ContainerName, ContainerState, EngineError, ExitFacts, LogCursor};
use crate::output::Output;

/// Between two looks at an engine that does not answer.
const ENGINE_RETRY: Duration = Duration::from_secs(2);

/// Output that is still on its way when the container has ended comes within this time, even to a
/// slow disk; without this limit an engine that hangs would keep the job for ever.
const DRAIN: Duration = Duration::from_secs(60);

/// The engine may need this long to tell the end of a container whose output has ended.
const SETTLE: Duration = Duration::from_secs(2);

/// How the watch ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ContainerEnd {
    /// The container's process ended.
    Exited { facts: ExitFacts, output: Completeness },
    /// It never began: the engine's reason.
    NeverStarted(String),
    /// There is no such container any more.
    Gone,
    /// The coordinator stops; the container is left running.
    Detached,
}

/// Whether all that a container printed was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completeness {
    Whole,
    Partial,
}

impl Completeness {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole, Self::Whole) => Self::Whole,
            (Self::Partial, _) | (_, Self::Partial) => Self::Partial,
        }
    }
}

/// Follows a container until it ends, across restarts of the engine.
pub(crate) async fn watch_container(
    ctx: &Context,
    name: &ContainerName,
    output: &mut Output,
) -> ContainerEnd {
    let mut watch = Watch { ctx, name, cursor: LogCursor::default() };
    tokio::select! {
        () = ctx.stop.cancelled() => ContainerEnd::Detached,
        end = watch.until_end(output) => end,
    }
}

struct Watch<'a> {
    ctx: &'a Context,
    name: &'a ContainerName,
    cursor: LogCursor,
}

impl Watch<'_> {
    async fn until_end(&mut self, output: &mut Output) -> ContainerEnd {
        let mut engine_lost = false;
        loop {
            let completeness = self.follow(output).await;
            match self.ctx.engine.state(self.name).await {
                Ok(ContainerState::Exited(facts)) => {
                    let output = completeness.and(self.read_rest(output).await);
                    return ContainerEnd::Exited { facts, output };
                }
                Ok(ContainerState::Absent) => return ContainerEnd::Gone,
                Ok(ContainerState::Created { error }) => return ContainerEnd::NeverStarted(error),
                Ok(ContainerState::Running) => engine_lost = false,
                Err(error) if !engine_lost => {
                    engine_lost = true;
                    tracing::warn!(container.name = %self.name, %error, "waiting for the engine");
                }
                Err(_) => {}
            }
            sleep(ENGINE_RETRY).await;
        }
    }

    /// Takes the output until the container ends or the engine can no longer tell. A second reading
    /// is never [`Completeness::Whole`].
    async fn follow(&mut self, output: &mut Output) -> Completeness {
        let first = !self.cursor.has_read();
        self.cursor.rewind();
        match self.follow_once(output).await {
            Completeness::Whole if first => Completeness::Whole,
            Completeness::Whole | Completeness::Partial => Completeness::Partial,
        }
    }

    /// Takes what the container has printed beyond what was taken, its last words above all.
    async fn read_rest(&mut self, output: &mut Output) -> Completeness {
        self.cursor.rewind();
        let taking = take_all(self.ctx, self.name, &mut self.cursor, output);
        timeout(DRAIN, taking).await.unwrap_or(Completeness::Partial)
    }

    async fn follow_once(&mut self, output: &mut Output) -> Completeness {
        let ended = self.ctx.engine.ended(self.name);
        let taking = take_all(self.ctx, self.name, &mut self.cursor, output);
        tokio::pin!(ended, taking);
        tokio::select! {
            completeness = &mut taking => {
                // The engine may need a moment to tell the end; on time or not, the caller asks.
                let _ended = timeout(SETTLE, ended).await;
                completeness
            }
            () = &mut ended => match timeout(DRAIN, taking).await {
                Ok(completeness) => completeness,
                Err(_) => Completeness::Partial,
            }
        }
    }
}

async fn take_all(
    ctx: &Context,
    name: &ContainerName,
    cursor: &mut LogCursor,
    output: &mut Output,
) -> Completeness {
    let taken = async {
        let mut pieces = ctx.engine.follow_output(name).await?;
        while let Some(piece) = pieces.next().await {
            if let Some(frame) = cursor.advance(piece?) {
                output.push(&frame.0).await;
            }
        }
        Ok::<(), EngineError>(())
    };
    match taken.await {
        Ok(()) => Completeness::Whole,
        Err(error) => {
            tracing::debug!(container.name = %name, %error, "output interrupted");
            Completeness::Partial
        }
    }
}
