//! When a run asks the project's memory, when it adds to it, and what is said of that.

use api_client::error_chain;

use super::job::Job;
use super::progress::Progress;
use crate::course::Phase;
use crate::follow_up;
use crate::forge::PullRequest;
use crate::memory::{Delivered, MemoryError, section};
use crate::report::{Reporter, Step};
use crate::settings::MemoryUse;

impl Job {
    /// Adds what the project remembers to what the worker is told, where there is a memory.
    pub(super) async fn recall(&mut self, reporter: &Reporter) {
        self.memory = match self.settings.memory {
            MemoryUse::On => reporter.memory(),
            MemoryUse::Off => None,
        };
        let Some(memory) = &self.memory else { return };
        let summary = match memory.recall(&self.assignment, &self.redaction).await {
            Ok(passages) if passages.is_empty() => return,
            Ok(passages) => {
                self.assignment.add_background(&section(&passages));
                format!("Passages of the project's memory in the prompt: {}", passages.len())
            }
            Err(MemoryError::Absent) => {
                self.memory = None;
                return;
            }
            Err(error) => {
                let why =
                    format!("the project's memory could not be asked: {}", error_chain(&error));
                self.course.warn(why.clone());
                why
            }
        };
        reporter.step(Step::MemoryRetrieveStart, &summary, None).await;
    }

    /// Has the project remember what was delivered, unless the run is told to stop meanwhile.
    pub(super) async fn remember(
        &self,
        progress: &Progress,
        request: &PullRequest,
        reporter: &Reporter,
    ) {
        let Some(memory) = &self.memory else { return };
        let _phase = self.course.phase(Phase::Complete);
        let Progress { answer, words, .. } = progress;
        let words = &follow_up::taken_apart(words).text;
        let (assignment, pull_request) = (&self.assignment, &request.url);
        let delivered = Delivered { assignment, answer, words, pull_request };
        let kept = memory.keep(delivered, &self.redaction);
        match self.cancel.run_until_cancelled(kept).await {
            Some(Ok(())) => {
                let summary = "The project's memory has what was done";
                reporter.step(Step::MemoryIndexed, summary, None).await;
            }
            Some(Err(MemoryError::Absent)) => {}
            Some(Err(error)) => self.course.warn(format!(
                "the project's memory could not be added to: {}",
                error_chain(&error)
            )),
            None => tracing::debug!("there was no time to add to the project's memory"),
        }
    }
}
