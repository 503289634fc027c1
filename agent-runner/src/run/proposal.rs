//! The pull request that work is proposed by, once it is pushed.

use api_client::error_chain;
use api_client::outcome::PullRequestFacts;

use super::job::Job;
use super::publication::Work;
use super::session::Checked;
use crate::checkout::Checkout;
use crate::course::Phase;
use crate::forge::{self, Existing, PullRequest, PullRequestDraft, Readiness};
use crate::outcome::RunError;

impl Job {
    /// Opens or refreshes the pull request, and makes sure that it is open at our commit.
    pub(super) async fn propose(
        &self,
        checkout: &Checkout,
        work: &Work,
        checked: &Checked,
        answer: &str,
    ) -> Result<PullRequest, RunError> {
        let _phase = self.course.phase(Phase::PullRequest);
        let brief = self.course.brief();
        let mut body = self.assignment.pull_request_body(answer, work.stat, &brief);
        if let Some(template) = self.template(checkout) {
            body = format!("{body}\n---\n\n{template}\n");
        }
        let draft = PullRequestDraft {
            title: self.cleaned(&self.title()),
            body: self.cleaned(&body),
            head: checkout.branch().clone(),
            base: checkout.base_branch().clone(),
            readiness: self.readiness(checked),
            labels: self.project.pull_request.labels.clone(),
            reviewers: self.project.pull_request.reviewers.clone(),
        };
        let known = Some(work.commit) == checkout.published() && self.project.check.is_none();
        // Where nothing is new, nothing that was said of it is replaced.
        let existing = if known { Existing::Keep } else { Existing::Update };
        let proposal = forge::open_pull_request(&self.forge, &draft, existing, work.commit).await;
        let proposal = proposal.map_err(|source| {
            let branch = checkout.branch().to_string();
            RunError::PullRequest { branch, source }
        })?;
        proposal.warnings.into_iter().for_each(|warning| self.course.warn(warning));
        let request = proposal.request;
        self.course.note(|record| {
            record.pull_request = Some(PullRequestFacts {
                url: request.url.clone(),
                number: request.number,
                head: request.head_sha.clone(),
                draft: request.readiness.is_draft(),
            });
        });
        Ok(request)
    }

    /// What the repository wants its pull requests to say.
    fn template(&self, checkout: &Checkout) -> Option<String> {
        if !self.project.pull_request.template {
            return None;
        }
        let repository = checkout.shadow().open();
        let repository = repository.map_err(|error| tracing::warn!("{}", error_chain(&error)));
        let found = forge::template(self.forge.kind(), &repository.ok()?, checkout.base_commit());
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the template for pull requests cannot be read");
            None
        })
    }

    fn readiness(&self, checked: &Checked) -> Readiness {
        match checked {
            Checked::Failed(_) => Readiness::DraftUntilChecksPass,
            Checked::Well if self.project.pull_request.draft => Readiness::Draft,
            Checked::Well => Readiness::Ready,
        }
    }
}
