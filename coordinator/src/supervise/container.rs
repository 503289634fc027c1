//! Watching a container.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::AgentEnd;
use crate::activity::Activity;
use crate::context::Context;
use crate::engine::{ContainerRef, ContainerState, EngineError, ExitFacts, LogCursor, Until};
use crate::home_engine::EngineSeen;
use crate::output::Output;

/// Between two looks at an engine that does not answer.
const ENGINE_RETRY: Duration = Duration::from_secs(2);

/// Output that is still on its way when the container has ended comes within this time, even to a
/// slow disk; without this limit an engine that hangs would keep the job for ever.
const DRAIN: Duration = Duration::from_secs(60);

/// The engine may need this long to tell the end of a container whose output has ended.
const SETTLE: Duration = Duration::from_secs(2);

/// What a connection that died without a word hides is seen by asking this often.
const LOOK: Duration = Duration::from_secs(30);

/// How much of the last words of a container becomes part of an outcome, in characters.
const SAID_MAX_CHARS: usize = 2_000;

/// Whether all that a container printed was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
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
pub(super) async fn end_of(
    ctx: &Context,
    name: &ContainerRef,
    output: &mut Output,
    activity: &Activity,
) -> AgentEnd {
    let watch = Watch { ctx, name, cursor: LogCursor::default(), engine: Seen::Always };
    watch.until_end(output, activity).await
}

struct Watch<'a> {
    ctx: &'a Context,
    name: &'a ContainerRef,
    cursor: LogCursor,
    engine: Seen,
}

/// Whether the engine was there the whole time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Always,
    Lost,
    Again,
}

impl Watch<'_> {
    async fn until_end(mut self, output: &mut Output, activity: &Activity) -> AgentEnd {
        loop {
            let completeness = self.follow(output).await;
            match self.ctx.engine.state(self.name).await {
                Ok(ContainerState::Exited(facts)) => {
                    let completeness = completeness.and(self.read_rest(output).await);
                    output.finish().await;
                    return self.ended(facts, completeness, output);
                }
                Ok(ContainerState::Absent) => match self.ctx.see_engine().await {
                    Ok(EngineSeen::Home) => return AgentEnd::Gone,
                    Ok(EngineSeen::Another(another)) => self.lost(&another, activity),
                    Err(error) => self.lost(&error, activity),
                },
                Ok(ContainerState::Created { error }) => return AgentEnd::NeverBegan(error),
                Ok(ContainerState::Running) => {
                    if self.engine == Seen::Lost {
                        tracing::info!(container.name = %self.name, "the engine is back");
                        self.engine = Seen::Again;
                    }
                }
                Err(error) => self.lost(&error, activity),
            }
            sleep(ENGINE_RETRY).await;
        }
    }

    fn lost(&mut self, why: &dyn fmt::Display, activity: &Activity) {
        if self.engine != Seen::Lost {
            tracing::warn!(container.name = %self.name, "waiting for the engine: {why}");
        }
        self.engine = Seen::Lost;
        // What it prints meanwhile is not to be seen: that is no silence of its own.
        activity.touch();
    }

    fn ended(&self, facts: ExitFacts, completeness: Completeness, output: &Output) -> AgentEnd {
        if completeness == Completeness::Whole && !output.runner_may_have_begun() {
            let said = output.tail();
            let problem = format!(
                "the container ended (exit {}) before the agent began: {}",
                facts.code,
                last_chars(said.trim_end(), SAID_MAX_CHARS)
            );
            // Whatever it was, where it did what it was made for it is not done again.
            return if facts.code == 0 {
                AgentEnd::NoAgent(problem)
            } else {
                AgentEnd::NeverBegan(problem)
            };
        }
        match self.engine {
            Seen::Lost => AgentEnd::ExitedUnseen(facts),
            Seen::Always | Seen::Again => AgentEnd::Exited(facts),
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
        let taking = take_all(self.ctx, self.name, Until::Now, &mut self.cursor, output);
        timeout(DRAIN, taking).await.unwrap_or(Completeness::Partial)
    }

    async fn follow_once(&mut self, output: &mut Output) -> Completeness {
        let ended = async {
            tokio::select! {
                () = self.ctx.engine.ended(self.name) => {}
                () = seen_ended(self.ctx, self.name) => {}
            }
        };
        let taking = take_all(self.ctx, self.name, Until::TheEnd, &mut self.cursor, output);
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

/// Returns when the engine, asked anew now and then, says that a container does not run.
async fn seen_ended(ctx: &Context, name: &ContainerRef) {
    loop {
        sleep(LOOK).await;
        match ctx.engine.state(name).await {
            Ok(ContainerState::Running) => {}
            Ok(_) => return,
            // Then the streams end as well, or the engine is back before they do.
            Err(error) => tracing::debug!(container.name = %name, %error, "not seen"),
        }
    }
}

pub(super) async fn take_all(
    ctx: &Context,
    name: &ContainerRef,
    until: Until,
    cursor: &mut LogCursor,
    output: &mut Output,
) -> Completeness {
    let taken = async {
        let mut pieces = ctx.engine.output(name, until).await?;
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

/// The end of a text.
fn last_chars(text: &str, count: usize) -> &str {
    let start = text.char_indices().rev().nth(count.saturating_sub(1));
    &text[start.map_or(0, |(at, _)| at)..]
}
