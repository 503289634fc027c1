//! When a run asks the project's memory, when it adds to it, and what is said of that.

use api_client::error_chain;

use super::job::Job;
use super::progress::Progress;
use crate::course::Phase;
use crate::forge::PullRequest;
use crate::memory::{Delivered, MemoryError, section};
use crate::prompt::Template;
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
                self.assignment.add_background(&section(&self.prompts, &passages));
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

    /// Has the worker say what it learnt, where that is remembered.
    pub(super) fn ask_what_is_learnt(&mut self) {
        if self.memory.is_some() {
            let section = self.prompts.fill(Template::Learnt, &[]);
            self.assignment.add_background(&format!("\n{section}"));
        }
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
        let Progress { answer, learnt, .. } = progress;
        let (assignment, pull_request) = (&self.assignment, &request.url);
        let delivered = Delivered { assignment, answer, learnt, pull_request };
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
