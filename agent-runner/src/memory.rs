//! What a project remembers of earlier work: asked when a run begins, added to when its ticket is
//! complete.
//!
//! Invariants: each way has one call and one time limit, and no failure of it is a failure of the run;
//! what is remembered was written by others, so it is redacted before it is cut (also of keys that only their
//! shape tells), bounded, and quoted as what somebody said; what a run adds is redacted and bounded too.

use std::collections::BTreeSet;
use std::time::Duration;

use api_client::wire::MemoryAnswer;
use api_client::{ApiError, ProjectId, WorkerApi};
use tokio::time::timeout;

use crate::bounded::bounded;
use crate::inspect;
use crate::prompt::{Assignment, Prompts, Template, quoted};
use crate::redaction::Redaction;

/// How long the memory may hold up a run, each time.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Passages for each question.
const PASSAGES: usize = 5;

/// How much of a question is asked, in bytes.
const QUESTION_MAX: usize = 4 << 10;

/// How much of each passage a prompt has, in bytes.
const PASSAGE_MAX: usize = 4 << 10;

/// How much of all passages together a prompt has, in bytes.
const ALL_MAX: usize = 16 << 10;

/// How much of the description and of the last words is remembered, in bytes each.
const KEPT_MAX: usize = 8 << 10;

/// What is asked beside the ticket's own text.
const PROJECT_QUESTION: &str = "What has been done in this project so far, and what was learnt?";

/// What the paragraph begins with in which a worker says what it learnt.
const LEARNT: &str = "learnt:";

/// What the original app says, with status 500, where no memory is set up.
const NOT_SET_UP: &str = "Retrieve failed";

/// The memory of a project at its app.
#[derive(Clone, Debug)]
pub(crate) struct ProjectMemory {
    api: WorkerApi,
    project: ProjectId,
}

/// What was delivered, for those who come after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered<'d> {
    /// What was to be done.
    pub(crate) assignment: &'d Assignment,
    /// What is told of the work: the worker's last words, or what a Director makes of them.
    pub(crate) answer: &'d str,
    /// What the worker says that it learnt.
    pub(crate) learnt: &'d str,
    /// Address of the pull request.
    pub(crate) pull_request: &'d str,
}

/// The memory gave or took nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    /// The app has none, or it is not set up: nothing is wrong.
    #[error("the app has no memory of the project")]
    Absent,
    /// The app refused, or could not be understood.
    #[error(transparent)]
    Api(ApiError),
    /// The app is too slow.
    #[error("the app did not answer within {} s", TIME_LIMIT.as_secs())]
    Slow,
}

impl ProjectMemory {
    /// That of this project. Nothing is asked yet.
    pub(crate) const fn new(api: WorkerApi, project: ProjectId) -> Self {
        Self { api, project }
    }

    /// Passages that belong to what is to be done, best first, each once; without any known secret.
    ///
    /// # Errors
    /// See [`MemoryError`].
    pub(crate) async fn recall(
        &self,
        assignment: &Assignment,
        redaction: &Redaction,
    ) -> Result<Vec<String>, MemoryError> {
        let questions = [assignment.question(), PROJECT_QUESTION.to_owned()];
        let questions = questions.map(|text| bounded(&clean(&text, redaction), QUESTION_MAX));
        let answers =
            within_limit(self.api.retrieve_memory(self.project, &questions, PASSAGES)).await?;
        Ok(chosen(&answers, redaction))
    }

    /// Adds what was delivered.
    ///
    /// # Errors
    /// See [`MemoryError`].
    pub(crate) async fn keep(
        &self,
        delivered: Delivered<'_>,
        redaction: &Redaction,
    ) -> Result<(), MemoryError> {
        let passage = delivered.passage(redaction);
        within_limit(self.api.index_memory(self.project, &[passage])).await
    }
}

impl Delivered<'_> {
    fn passage(&self, redaction: &Redaction) -> String {
        let part = |text: &str| bounded(clean(text, redaction).trim(), KEPT_MAX);
        let task = part(&self.assignment.question());
        let done = match part(self.answer) {
            nothing if nothing.is_empty() => nothing,
            words => format!("What was done, in the words of who did it:\n\n{words}\n\n"),
        };
        let learnt = match part(self.learnt) {
            nothing if nothing.is_empty() || done.contains(&nothing) => String::new(),
            words => format!("What was learnt:\n\n{words}\n\n"),
        };
        let pull_request = redaction.redact(self.pull_request);
        format!("Ticket: {task}\n\n{done}{learnt}Pull request: {pull_request}")
    }
}

/// What a worker says that it learnt, from where it is asked to begin it to the next heading; nothing where it says
/// nothing of it.
pub(crate) fn learnt_in(words: &str) -> &str {
    let begins = |line: &str| {
        let line = line.trim_start_matches([' ', '#', '*', '-', '`', '_']);
        line.get(..LEARNT.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(LEARNT))
    };
    let mut at = words.len();
    for line in words.split_inclusive('\n').rev() {
        at -= line.len();
        if begins(line) {
            let (_, learnt) = words[at..].split_once(':').unwrap_or_default();
            let end = ["\n#", "\n```"].into_iter().filter_map(|next| learnt.find(next)).min();
            let learnt = &learnt[..end.unwrap_or(learnt.len())];
            return learnt.trim_start_matches(['*', '`', '_']).trim();
        }
    }
    ""
}

/// The part of a prompt that has these passages; nothing where there are none.
pub(crate) fn section(prompts: &Prompts, passages: &[String]) -> String {
    let quotations = passages
        .iter()
        .zip(1..)
        .map(|(passage, number)| format!("\nPassage {number}:\n\n{}\n", quoted(passage)));
    if passages.is_empty() {
        String::new()
    } else {
        let passages = quotations.collect::<String>();
        format!("\n{}", prompts.fill(Template::Memory, &[("passages", &passages)]))
    }
}

/// What a prompt has of the answers.
fn chosen(answers: &[MemoryAnswer], redaction: &Redaction) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut left = ALL_MAX;
    let found = answers.iter().flat_map(|answer| answer.docs.iter().take(PASSAGES));
    let redacted = found.map(|passage| bounded(clean(passage, redaction).trim(), PASSAGE_MAX));
    redacted
        .filter(|passage| !passage.is_empty() && seen.insert(passage.clone()))
        .filter(|passage| match left.checked_sub(passage.len()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .collect()
}

/// A text without known secrets and without what has the shape of one: others' are not known here.
fn clean(text: &str, redaction: &Redaction) -> String {
    inspect::without_secrets(&redaction.redactor(), text)
}

async fn within_limit<T>(
    call: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, MemoryError> {
    match timeout(TIME_LIMIT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_absence(&error) => {
            tracing::debug!(%error, "there is no memory");
            Err(MemoryError::Absent)
        }
        Ok(Err(error)) => Err(MemoryError::Api(error)),
        Err(_elapsed) => Err(MemoryError::Slow),
    }
}

/// Whether an app says in this way that it has no memory.
fn is_absence(error: &ApiError) -> bool {
    match error {
        ApiError::Gone { .. } => true,
        ApiError::Busy { status: 500, message, .. } => message == NOT_SET_UP,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
