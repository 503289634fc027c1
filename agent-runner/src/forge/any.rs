//! The forge of a job, whichever it is.

use tokio_util::sync::CancellationToken;
use url::Url;

use super::gitea::Gitea;
use super::github::GitHub;
use super::gitlab::GitLab;
use super::{Forge, ForgeError, ForgeKind, PullRequest, PullRequestDraft, Readiness, probe};
use crate::git::{BranchName, RepoUrl};
use crate::token::TokenSource;

/// A repository on one of the forges.
#[derive(Debug)]
pub(crate) enum AnyForge {
    /// On GitHub.
    GitHub(GitHub),
    /// On Gitea or Forgejo.
    Gitea(Gitea),
    /// On GitLab.
    GitLab(GitLab),
}

/// Does the same with whichever forge it is.
macro_rules! on {
    ($any:expr, $forge:ident => $done:expr) => {
        match $any {
            AnyForge::GitHub($forge) => $done,
            AnyForge::Gitea($forge) => $done,
            AnyForge::GitLab($forge) => $done,
        }
    };
}

impl AnyForge {
    /// The repository at `repo`. The kind is the one that was set, else the one that the address of
    /// the API or of the repository tells, else the one as which the host answers; else GitHub, as
    /// which an Enterprise server is met. `api` is the base of the REST API where it is not the usual
    /// one; `cancel` is cancelled when the run is to end.
    ///
    /// # Errors
    /// [`ForgeError::Misconfigured`]; those of a host that had to be asked and did not answer.
    pub(crate) async fn connect(
        kind: Option<ForgeKind>,
        repo: &RepoUrl,
        api: Option<&Url>,
        token: TokenSource,
        cancel: CancellationToken,
    ) -> Result<Self, ForgeError> {
        let kind = match kind.or_else(|| ForgeKind::of_names(repo, api)) {
            Some(kind) => kind,
            None => probe::ask(repo, token.clone(), cancel.clone()).await?,
        };
        Ok(match kind {
            ForgeKind::GitHub => Self::GitHub(GitHub::new(repo, api, token, cancel)?),
            ForgeKind::Gitea => Self::Gitea(Gitea::new(repo, api, token, cancel)?),
            ForgeKind::GitLab => Self::GitLab(GitLab::new(repo, api, token, cancel)?),
        })
    }

    /// Which forge it is.
    pub(crate) const fn kind(&self) -> ForgeKind {
        match self {
            Self::GitHub(_) => ForgeKind::GitHub,
            Self::Gitea(_) => ForgeKind::Gitea,
            Self::GitLab(_) => ForgeKind::GitLab,
        }
    }
}

impl Forge for AnyForge {
    async fn find_open(
        &self,
        head: &BranchName,
        base: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        on!(self, forge => forge.find_open(head, base).await)
    }

    async fn create(&self, draft: &PullRequestDraft) -> Result<PullRequest, ForgeError> {
        on!(self, forge => forge.create(draft).await)
    }

    async fn update_body(&self, number: u64, body: &str) -> Result<PullRequest, ForgeError> {
        on!(self, forge => forge.update_body(number, body).await)
    }

    async fn set_readiness(&self, number: u64, readiness: Readiness) -> Result<(), ForgeError> {
        on!(self, forge => forge.set_readiness(number, readiness).await)
    }

    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError> {
        on!(self, forge => forge.read(number).await)
    }

    async fn add_labels(&self, number: u64, labels: &[String]) -> Result<Vec<String>, ForgeError> {
        on!(self, forge => forge.add_labels(number, labels).await)
    }

    async fn request_reviews(
        &self,
        number: u64,
        reviewers: &[String],
    ) -> Result<Vec<String>, ForgeError> {
        on!(self, forge => forge.request_reviews(number, reviewers).await)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::forge::testing::{repo, server};

    async fn kind_of(
        kind: Option<ForgeKind>,
        answers: Vec<(u16, &'static str, serde_json::Value)>,
    ) -> ForgeKind {
        let (url, asked) = server(answers).await;
        let token = TokenSource::fixed("tok-123");
        let repo = repo(&url, "acme/shop.git");
        let forge = AnyForge::connect(kind, &repo, None, token, CancellationToken::new()).await;
        asked.await.unwrap();
        forge.unwrap().kind()
    }

    #[tokio::test]
    async fn an_unknown_host_is_asked_what_it_is() {
        let version = json!({"version": "1.22.0"});
        let missing = (404, "", json!({"message": "Not Found"}));
        let gitea = vec![(200, "", version.clone())];
        assert_eq!(kind_of(None, gitea).await, ForgeKind::Gitea);
        let gitlab = vec![missing.clone(), (200, "", json!({"version": "17.1", "revision": "x"}))];
        assert_eq!(kind_of(None, gitlab).await, ForgeKind::GitLab);
        let closed = vec![missing.clone(), (401, "", json!({"message": "401 Unauthorized"}))];
        assert_eq!(kind_of(None, closed).await, ForgeKind::GitLab);
        let enterprise = vec![missing.clone(), missing];
        assert_eq!(kind_of(None, enterprise).await, ForgeKind::GitHub);
        let sign_in =
            vec![(302, "location: https://sso.example/\r\n", json!(0)), (200, "", json!("page"))];
        assert_eq!(kind_of(None, sign_in).await, ForgeKind::GitHub);
    }

    #[tokio::test]
    async fn a_kind_that_is_set_is_not_asked_for() {
        for kind in ForgeKind::ALL {
            assert_eq!(kind_of(Some(kind), Vec::new()).await, kind);
        }
    }
}
