//! A forge with a repository and pull requests, and an app with tickets for them.

use std::process::Command;

use api_client::wire::{HeldBy, Job, JobFailure};
use api_client::{Claim, JobId, ProjectId, Secret, TicketId, WorkerApi};
use integration_tests::forge::{
    ForgeKind, ForgeOptions, LineSide, Remark, RemarkPlace, RepoName, RepoSource, Standing,
    TestForge, Token,
};
use integration_tests::harness::{App, KEY, eventually};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "the-token-of-the-forge";

/// Looks often, starts jobs at once, and tries again soon.
pub(crate) const QUICK: &[&str] =
    &["--review-poll-sec", "0.1", "--review-debounce-sec", "0", "--review-backoff-sec", "0.05"];

pub(crate) struct Scene {
    pub(crate) forge: TestForge,
    pub(crate) repo: RepoName,
    pub(crate) app: App,
    pub(crate) project: ProjectId,
    _folder: TempDir,
}

impl Scene {
    /// Two open pull requests, 1 the older one and 2 the newer one; the app has the token.
    pub(crate) async fn new(kind: ForgeKind, flags: &'static [&'static str]) -> Self {
        let scene = Self::without_token(kind, flags).await;
        scene.app.set("github_agent_token", TOKEN).await;
        scene
    }

    /// The same, and the app has no token.
    pub(crate) async fn without_token(kind: ForgeKind, flags: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::new(TOKEN).unwrap();
        let options =
            ForgeOptions { kind, ..ForgeOptions::new(folder.path().join("forge"), token) };
        let forge = TestForge::start(options).await.unwrap();
        // Groups within groups are GitLab's alone.
        let repo = match kind {
            ForgeKind::GitLab => "acme/web/demo",
            ForgeKind::GitHub | ForgeKind::Gitea => "acme/demo",
        };
        let repo: RepoName = repo.parse().unwrap();
        let seed = folder.path().join("seed");
        let script = "git init -q -b main $0 && cd $0 && \
            git() { command git -c user.name=P -c user.email=p@example.org \"$@\"; } && \
            git commit -q --allow-empty -m first && \
            git checkout -q -b one && git commit -q --allow-empty -m one && \
            git checkout -q -b two main && git commit -q --allow-empty -m two && \
            git checkout -q main";
        let made = Command::new("sh").args(["-c", script]).arg(&seed).status();
        assert!(made.unwrap().success());
        forge.create_repo(&repo, RepoSource::From(&seed)).await.unwrap();
        forge.open_pull(&repo, "one", "2026-02-01T12:00:00Z").await.unwrap();
        forge.open_pull(&repo, "two", "2026-02-02T12:00:00Z").await.unwrap();
        let app = App::start_with(flags).await;
        app.set("FORGE", kind.name()).await;
        let project = app.add_project(forge.clone_url(&repo).as_str()).await;
        Self { forge, repo, app, project, _folder: folder }
    }

    /// A ticket in review with this pull request.
    pub(crate) async fn ticket(&self, pull: u64) -> TicketId {
        self.app.add_delivered_ticket(self.project, pull).await
    }

    /// Has a member say something.
    pub(crate) fn say(&self, pull: u64, place: RemarkPlace, body: &str) {
        self.say_as("ann", Standing::Member, pull, place, body);
    }

    pub(crate) fn say_as(
        &self,
        author: &str,
        standing: Standing,
        pull: u64,
        place: RemarkPlace,
        body: &str,
    ) {
        let (author, body) = (author.to_owned(), body.to_owned());
        self.forge.say(&self.repo, pull, Remark { place, author, standing, body });
    }

    /// All jobs, oldest first.
    pub(crate) async fn jobs(&self) -> Vec<Value> {
        self.app.jobs_of(self.project).await
    }

    /// Waits until there are this many jobs.
    pub(crate) async fn jobs_are(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} jobs"), async || {
            let jobs = self.jobs().await;
            (jobs.len() == count).then_some(jobs)
        })
        .await
    }

    /// Waits until a pull request was looked at three times more, whole.
    pub(crate) async fn looked_at_again(&self, pull: u64) {
        let looks = || {
            let requests = self.forge.requests();
            let end = [format!("/pulls/{pull}"), format!("/merge_requests/{pull}")];
            requests.iter().filter(|r| end.iter().any(|end| r.path.ends_with(end))).count()
        };
        let before = looks();
        eventually("three looks", async || (looks() > before + 3).then_some(())).await;
    }

    /// Waits until the app says of a ticket's pull request that it stands so.
    pub(crate) async fn stands(&self, ticket: TicketId, state: &str) -> Value {
        eventually(&format!("a pull request that is {state}"), async || {
            let ticket = self.app.ticket(ticket).await;
            (ticket["review"]["state"] == state).then_some(ticket)
        })
        .await
    }

    /// Claims the oldest job.
    pub(crate) async fn claim(&self) -> Job {
        match self.api().claim(None, None).await.unwrap() {
            Claim::Job(job) => *job,
            Claim::Empty => panic!("no job waits"),
        }
    }

    pub(crate) async fn complete(&self, job: JobId) {
        self.api().complete_job(job, HeldBy::default()).await.unwrap();
    }

    pub(crate) async fn fail(&self, job: JobId) {
        self.api().fail_job(job, &JobFailure::default()).await.unwrap();
    }

    pub(crate) async fn end(mut self) {
        self.app.stop().await;
        self.forge.shutdown().await.unwrap();
    }

    fn api(&self) -> WorkerApi {
        let url = self.app.url().parse().unwrap();
        WorkerApi::new(&url, Some(Secret::from(KEY)), "test/1").unwrap()
    }
}

/// On a line.
pub(crate) fn on_line(line: u64) -> RemarkPlace {
    RemarkPlace::Line { path: "src/a.rs".to_owned(), line, side: LineSide::New }
}
