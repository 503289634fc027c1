//! What there is to look at after a case: on the remote, in the outcome, and at the models.

use std::fs;
use std::path::Path;

use api_client::outcome::OutcomeDocument;

use super::leaks::{Leaks, Model};
use crate::forge::PullRequest;
use crate::llm::LlmRequest;

/// What there is to look at after a run.
pub(super) struct Seen {
    pub(super) code: Option<i64>,
    pub(super) output: String,
    pub(super) document: Result<OutcomeDocument, String>,
    /// The files that the work's branch has beyond the default one.
    pub(super) files: Vec<String>,
    /// The branches beside the default one.
    pub(super) branches: Vec<String>,
    pub(super) is_main_untouched: bool,
    /// All that is on the remote: each file in each commit, with the messages.
    pub(super) pushed: String,
    pub(super) pulls: Vec<PullRequest>,
    pub(super) worker: Vec<LlmRequest>,
    pub(super) director: Vec<LlmRequest>,
    /// Requests to the forge that it does not publish.
    pub(super) violations: Vec<String>,
}

impl Seen {
    /// What the Director's model was asked: clients look first whether an endpoint speaks their wire.
    pub(super) fn asked_of_director(&self) -> Vec<&LlmRequest> {
        self.director.iter().filter(|request| request.asks()).collect()
    }

    /// Where a secret is that has no place there.
    pub(super) fn leaked(&self) -> Vec<String> {
        let mut leaks = Leaks::new();
        leaks.in_text("the output", &self.output);
        let document = self.document.as_ref().map(|one| format!("{one:?}"));
        leaks.in_text("the outcome", &document.unwrap_or_default());
        leaks.in_text("the remote's branches", &self.pushed);
        leaks.in_text("the pull requests", &format!("{:?}", self.pulls));
        leaks.in_requests(Model::Worker, &self.worker);
        leaks.in_requests(Model::Director, &self.director);
        leaks.all()
    }
}

/// The outcome that a run wrote into this folder.
pub(super) fn outcome(folder: &Path) -> Result<OutcomeDocument, String> {
    let text = fs::read(folder.join("outcome.json")).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
