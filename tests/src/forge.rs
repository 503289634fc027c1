//! A git forge for tests: real git over HTTP behind token auth, and the part
//! of the REST API of GitHub, Gitea or GitLab that opening a pull request needs.
//!
//! - `/{owner}/{repo}[.git]/…` — smart HTTP, by `git http-backend`
//! - `/{owner}/{repo}.git/info/lfs/…` — files in Git LFS
//! - `/api/v3/…`, or `/api/v1/…`, or `/api/v4/…` — pull requests, in the shapes of the [`ForgeKind`]
//!   that it is taken for; the other two are not there
//! - `/api/graphql` — what GitHub's REST API cannot
//! - `/api/v3/app…` — what a GitHub App needs to get its tokens
//! - `/{owner}/{repo}/pull/{n}[.diff]` — what a person opens; needs no token
//! - `/_test/…` — fault injection and the record of requests; needs no token
//!
//! Invariants: branches live in git alone, and pull requests in one JSON file
//! beside the repositories, so a restart loses nothing. Requests are checked
//! against what the forge publishes about its API, more strictly than it does
//! itself: one that does not fit is answered with 500, and the forge's shutdown fails.

mod api;
mod api_error;
mod app;
mod app_api;
mod auth;
mod control;
mod conversation;
mod description;
mod fault;
mod gate;
mod git;
mod gitea;
mod gitlab;
mod graphql;
mod kind;
mod lfs;
mod page;
mod pull_api;
mod pull_body;
mod pull_extras;
mod pulls;
mod record;
mod refusal;
mod repo;
pub mod roster;
mod shape;
mod smart_http;
#[cfg(test)]
mod tests;
mod timestamp;
mod token_api;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

pub use app::{ForgeApp, NoPublicKey};
pub use auth::{Token, TokenError};
pub use conversation::{CheckResult, LineSide, Remark, RemarkPlace, Reply, Standing, Verdict};
pub use fault::{Fault, Moment};
pub use git::GitError;
pub use kind::ForgeKind;
pub use pulls::{PullRequest, PullState, PullStoreError};
pub use record::{RequestRecord, fingerprint};
pub use repo::{RepoError, RepoName, RepoSource, RepoStore};

use crate::server::{Bound, OwnedServer, ServerError, url_of};

/// What a forge needs to start.
#[derive(Debug)]
pub struct ForgeOptions {
    /// Where repositories and pull requests are kept; made when absent.
    pub root: PathBuf,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Which forge it is taken for.
    pub kind: ForgeKind,
    /// The token that is accepted, beside those of the App.
    pub token: Token,
    /// The GitHub App that gets tokens of its own.
    pub app: Option<ForgeApp>,
    /// The base of every URL in an answer; by default the listening address.
    pub external_url: Option<Url>,
}

impl ForgeOptions {
    /// A GitHub on a free loopback port.
    pub fn new(root: impl Into<PathBuf>, token: Token) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let kind = ForgeKind::default();
        Self { root: root.into(), listen, kind, token, app: None, external_url: None }
    }
}

/// Why a forge could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// Binding, serving or stopping failed.
    #[error("the forge's server failed")]
    Server(#[from] ServerError),
    /// The repositories could not be used.
    #[error("the forge's repositories are not usable")]
    Repos(#[from] RepoError),
    /// The stored pull requests could not be used.
    #[error("the forge's pull requests are not usable")]
    Pulls(#[from] PullStoreError),
    /// The excerpt of what the forge publishes is none.
    #[error("the forge's description could not be read")]
    Description(#[source] serde_json::Error),
    /// Requests came that the forge's description does not allow.
    #[error("requests that {} does not publish: {}", kind.name(), requests.join("; "))]
    Violations {
        /// Which forge.
        kind: ForgeKind,
        /// The requests, each with what is wrong.
        requests: Vec<String>,
    },
}

/// A running forge. End it with [`TestForge::shutdown`].
#[derive(Debug)]
pub struct TestForge {
    forge: Arc<Forge>,
    server: OwnedServer,
}

/// What the handlers share.
#[derive(Debug)]
struct Forge {
    kind: ForgeKind,
    description: description::Description,
    violations: description::Violations,
    repos: RepoStore,
    pulls: pulls::PullStore,
    talk: conversation::Talk,
    token: Token,
    app: Option<ForgeApp>,
    issued: app::IssuedTokens,
    external_url: Url,
    faults: fault::Faults,
    requests: record::Requests,
    rate: api::RateLimit,
    backend: PathBuf,
    children: TaskTracker,
    cancel: CancellationToken,
}

impl TestForge {
    /// Opens (or makes) the root and starts to answer.
    pub async fn start(options: ForgeOptions) -> Result<Self, ForgeError> {
        let repos = RepoStore::open(&options.root)?;
        let pulls = pulls::PullStore::load(&options.root)?;
        let backend = git::http_backend().await.map_err(RepoError::from)?;
        let bound = Bound::new(options.listen).await?;
        let cancel = CancellationToken::new();
        let kind = options.kind;
        let description = description::Description::parse(kind.description());
        let forge = Arc::new(Forge {
            kind,
            description: description.map_err(ForgeError::Description)?,
            violations: description::Violations::default(),
            repos,
            pulls,
            talk: conversation::Talk::default(),
            token: options.token,
            app: options.app,
            issued: app::IssuedTokens::default(),
            external_url: options.external_url.unwrap_or_else(|| url_of(bound.address())),
            faults: fault::Faults::default(),
            requests: record::Requests::default(),
            rate: api::RateLimit::default(),
            backend,
            children: TaskTracker::new(),
            cancel: cancel.clone(),
        });
        let server = bound.serve("test forge", router(&forge), cancel);
        Ok(Self { forge, server })
    }

    /// The base URL for clients on this host.
    pub fn url(&self) -> Url {
        self.server.url()
    }

    /// Where it listens, for building a URL that containers can reach.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The base URL of the REST API.
    pub fn api_url(&self) -> Url {
        joined(&self.url(), self.forge.kind.api_path())
    }

    /// The requests so far that the forge's description does not allow; they are forgotten.
    pub fn take_violations(&self) -> Vec<String> {
        self.forge.violations.take()
    }

    /// The URL to clone `owner/name` from, without credentials.
    pub fn clone_url(&self, repo: &RepoName) -> Url {
        joined(&self.url(), &format!("/{repo}.git"))
    }

    /// Makes a bare repository and serves it at once.
    pub async fn create_repo(
        &self,
        repo: &RepoName,
        source: RepoSource<'_>,
    ) -> Result<PathBuf, RepoError> {
        self.forge.repos.create(repo, source).await
    }

    /// The bare repository on disk, for looking at branches with git.
    pub fn repo_path(&self, repo: &RepoName) -> PathBuf {
        self.forge.repos.path(repo)
    }

    /// What git says of a bare repository on disk; nothing where it fails.
    pub fn git(&self, repo: &RepoName, arguments: &[&str]) -> String {
        let mut git = std::process::Command::new("git");
        let said = git.arg("--git-dir").arg(self.repo_path(repo)).args(arguments).output();
        said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default()
    }

    /// All pull requests of a repository, oldest first.
    pub fn pulls(&self, repo: &RepoName) -> Vec<PullRequest> {
        self.forge.pulls.list(repo)
    }

    /// Opens a pull request from a branch to `main`, as of this time (`2026-01-31T23:59:59Z`).
    pub async fn open_pull(
        &self,
        repo: &RepoName,
        head: &str,
        opened_at: &str,
    ) -> Result<PullRequest, PullStoreError> {
        let commit = git::resolve(&self.repo_path(repo), &format!("refs/heads/{head}")).await;
        let new = pulls::NewPull {
            title: head.to_owned(),
            body: None,
            draft: false,
            head: head.to_owned(),
            head_sha: commit.ok().flatten().ok_or(PullStoreError::Absent)?,
            base: "main".to_owned(),
        };
        self.forge.pulls.create_as_of(repo, new, opened_at)
    }

    /// Writes the text of a pull request.
    pub fn describe(
        &self,
        repo: &RepoName,
        number: u64,
        text: &str,
    ) -> Result<PullRequest, PullStoreError> {
        let body = Some(Some(text.to_owned()));
        let change = pulls::PullChange { body, ..pulls::PullChange::default() };
        self.forge.pulls.update(repo, number, change)
    }

    /// Has someone say something of a pull request. The answer is the number of that among all that was said
    /// of it.
    pub fn say(&self, repo: &RepoName, number: u64, remark: Remark) -> u64 {
        let head = self.forge.pulls.get(repo, number).map(|pull| pull.head_sha);
        self.forge.talk.say(repo, number, head.unwrap_or_default(), remark)
    }

    /// Closes the thread that the remark of this number began.
    pub fn resolve(&self, repo: &RepoName, number: u64, remark: u64) {
        self.forge.talk.resolve(repo, number, remark);
    }

    /// What was said of a pull request with the token, oldest first.
    pub fn replies(&self, repo: &RepoName, number: u64) -> Vec<Reply> {
        self.forge.talk.replies(repo, number)
    }

    /// Reports how a check of a commit came out.
    pub fn report(&self, repo: &RepoName, commit: &str, name: &str, result: CheckResult) {
        self.forge.talk.report(repo, commit, (name, result), None);
    }

    /// Reports that a check of a commit failed, as a job of Gitea Actions with this log. The other kinds have
    /// no log.
    pub fn report_job(&self, repo: &RepoName, commit: &str, name: &str, log: &str) {
        self.forge.talk.report(repo, commit, (name, CheckResult::Failed), Some(log));
    }

    /// Closes a pull request as merged; its branches stay as they are.
    pub fn merge(&self, repo: &RepoName, number: u64) -> Result<PullRequest, PullStoreError> {
        self.forge.pulls.merge(repo, number)
    }

    /// Closes a pull request without a merge.
    pub fn close(&self, repo: &RepoName, number: u64) -> Result<PullRequest, PullStoreError> {
        let state = Some(PullState::Closed);
        let change = pulls::PullChange { state, ..pulls::PullChange::default() };
        self.forge.pulls.update(repo, number, change)
    }

    /// Makes matching requests fail; the first fault that matches applies.
    pub fn fail(&self, fault: Fault) {
        self.forge.faults.add(fault);
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.forge.faults.clear();
    }

    /// The requests so far, oldest first, without those to `/_test/`.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.forge.requests.all()
    }

    /// The tokens that the App was given, oldest first.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.forge.issued.all()
    }

    /// Stops answering, ends running git processes, and joins all tasks; fails if there were requests
    /// that the forge's description does not allow.
    pub async fn shutdown(self) -> Result<(), ForgeError> {
        self.server.shutdown().await?;
        self.forge.children.close();
        self.forge.children.wait().await;
        match self.forge.violations.take() {
            requests if requests.is_empty() => Ok(()),
            requests => Err(ForgeError::Violations { kind: self.forge.kind, requests }),
        }
    }
}

fn router(forge: &Arc<Forge>) -> Router {
    let path = forge.kind.api_path();
    let api = match forge.kind {
        ForgeKind::GitHub => Router::new()
            .nest(path, api::router(forge))
            .route("/api/graphql", post(graphql::serve))
            .route("/{owner}/{repo}/pull/{number}", get(page::pull_request)),
        ForgeKind::Gitea => Router::new()
            .nest(path, gitea::router(forge))
            .route("/{owner}/{repo}/pulls/{number}", get(page::pull_request)),
        ForgeKind::GitLab => Router::new()
            .nest(path, gitlab::router(forge))
            .route("/{owner}/{repo}/-/merge_requests/{number}", get(page::pull_request)),
    };
    api.nest("/_test", control::router())
        .fallback(smart_http::serve)
        .layer(from_fn_with_state(Arc::clone(forge), gate::pass))
        .with_state(Arc::clone(forge))
}

impl Forge {
    /// Whether a token opens a repository, or anything where none is named.
    fn accepts(&self, token: &str, repo: Option<&RepoName>) -> bool {
        self.token.is(token) || self.issued.accepts(token, repo)
    }
}

/// `base` with its path replaced; the path is made of checked names only.
fn joined(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url
}
