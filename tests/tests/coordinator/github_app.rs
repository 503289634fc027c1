//! Tokens of a GitHub App: made for each job, good for its repository, replaced while it runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use integration_tests::forge::{
    ForgeApp, ForgeOptions, RepoName, RepoSource, TestForge, Token, fingerprint,
};
use integration_tests::harness::{
    AGENT_IMAGE, Coordinator, GO_IN_IMAGE, Job, build_agent_image, eventually, install_claude,
    program,
};
use tempfile::TempDir;
use tokio::process::Command;

use crate::scene::Scene;

const APP_ID: u64 = 12_345;
const KEY: &str = include_str!("../../testdata/github-app.pem");
const PUBLIC_KEY: &str = include_str!("../../testdata/github-app.public.pem");
/// One that would open everything, and that no agent may have.
const LONG_LIVED: &str = "ghp_long_lived_of_the_operator";

/// A scene with a forge on which the App is installed for `acme/web`.
struct AppScene {
    scene: Scene,
    forge: TestForge,
    repo: RepoName,
    _folder: TempDir,
}

impl AppScene {
    async fn or_skip(script: &str, token_life: Duration) -> Option<Self> {
        let mut scene = Scene::or_skip(script).await?;
        let folder = tempfile::tempdir().unwrap();
        let repo: RepoName = "acme/web".parse().unwrap();
        let app = ForgeApp::new(APP_ID, PUBLIC_KEY, vec![repo.clone()], token_life).unwrap();
        let token = Token::new(LONG_LIVED).unwrap();
        let mut options = ForgeOptions::new(folder.path().join("forge"), token);
        options.app = Some(app);
        options.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let forge = TestForge::start(options).await.unwrap();
        let seed = seed(folder.path()).await;
        forge.create_repo(&repo, RepoSource::From(&seed)).await.unwrap();
        scene.project = scene.app.add_project(forge.clone_url(&repo).as_str()).await;
        let key = folder.path().join("key.pem");
        std::fs::write(&key, KEY).unwrap();
        scene
            .home
            .set("GITHUB_APP_ID", &APP_ID.to_string())
            .set("GITHUB_APP_PRIVATE_KEY_FILE", key.to_str().unwrap())
            .set("FORGE_API_URL", forge.api_url().as_str())
            .set("GITHUB_TOKEN", LONG_LIVED);
        Some(Self { scene, forge, repo, _folder: folder })
    }

    /// The same with the real agent, in a container or on the host.
    async fn with_agent(place: Place, token_life: Duration) -> Option<Self> {
        let mut this = Self::or_skip("unused", token_life).await?;
        let home = &mut this.scene.home;
        home.set("WORKER_API_KEY", "sk-of-the-model").set("WORKER_MODE", "claude-code");
        match place {
            Place::Container => {
                build_agent_image(&this.scene.engine).await;
                home.set("AGENT_IMAGE", AGENT_IMAGE);
            }
            Place::Host => {
                install_claude(home.dir());
                let path = format!("{}:/usr/bin:/bin", home.dir().display());
                home.set("HOST_FALLBACK", "always").set("PATH", &path);
                home.set("AGENT_RUNNER_PATH", program("agent-runner").to_str().unwrap());
            }
        }
        Some(this)
    }

    /// The tokens in the order of their making, once there are so many.
    async fn tokens(&self, count: usize) -> Vec<String> {
        eventually("a token of the App", async || {
            Some(self.forge.issued_tokens()).filter(|tokens| tokens.len() >= count)
        })
        .await
    }

    /// Waits until the forge does not accept a token any more.
    async fn ended(&self, token: &str) {
        let http = api_client::http::http_client("integration-tests").build().unwrap();
        let url = format!("{}/repos/{}", self.forge.api_url(), self.repo);
        eventually("the end of a token", async || {
            let answer = http.get(&url).bearer_auth(token).send().await.unwrap();
            (answer.status() == 401).then_some(())
        })
        .await;
    }

    /// Whether a request to the API came with this token.
    fn used(&self, token: &str) -> bool {
        let mark = fingerprint(&format!("Bearer {token}"));
        let pulls = format!("/api/v3/repos/{}/pulls", self.repo);
        let requests = self.forge.requests();
        let of_agent = requests.iter().filter(|request| request.path.starts_with(&pulls));
        of_agent.into_iter().any(|request| request.authorization.as_deref() == Some(&mark))
    }

    /// Nothing of ours holds the tokens, and no long-lived one was used.
    fn assert_tokens_are_nowhere(&self) {
        let tokens = self.forge.issued_tokens();
        for (path, content) in self.scene.home.files() {
            let text = String::from_utf8_lossy(&content);
            for token in &tokens {
                assert!(!text.contains(token.as_str()), "{}", path.display());
            }
        }
        assert!(!self.used(LONG_LIVED));
    }

    async fn shut_down(self, coordinator: Coordinator) {
        coordinator.terminate().await;
        self.forge.shutdown().await.unwrap();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Container,
    Host,
}

/// A repository of one commit.
async fn seed(folder: &Path) -> PathBuf {
    let script = "git init -q -b main seed && cd seed && echo one > README && git add README && \
        git -c user.name=P -c user.email=p@example.org commit -q -m first";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).status().await;
    assert!(made.unwrap().success());
    folder.join("seed")
}

/// Waits until the coding CLI of a job is at work.
async fn at_work(this: &AppScene, job: &Job) {
    eventually("a worker at work", async || {
        let log = this.scene.app.ticket_log(job).await;
        log.iter().any(|entry| entry.step.contains("prompt")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_outlives_its_token_delivers_with_the_next_one() {
    let life = Duration::from_secs(16);
    let Some(mut this) = AppScene::with_agent(Place::Container, life).await else { return };
    let job = this.scene.add_job().await;
    let mut coordinator = this.scene.home.start();
    let first = this.tokens(1).await.remove(0);
    at_work(&this, &job).await;

    coordinator.wait_for_log("the agent has a new token").await;
    this.ended(&first).await;
    let known = this.scene.engine.inspect(job.job_id).await.unwrap();
    let known = serde_json::to_string(&known).unwrap();
    this.scene.engine.exec(job.job_id, "0", &["touch", GO_IN_IMAGE]).await;

    let ended = this.scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{ended:?}\n{}", this.scene.home.job_log(job.job_id));
    assert_eq!(this.forge.pulls(&this.repo).len(), 1);
    assert!(!this.used(&first));
    assert!(this.forge.issued_tokens().iter().any(|token| this.used(token)));
    assert!(this.forge.issued_tokens().iter().all(|token| !known.contains(token.as_str())));
    this.assert_tokens_are_nowhere();
    this.shut_down(coordinator).await;
}

/// With tokens of an hour, none is replaced but by the coordinator that adopts.
async fn adopted(place: Place) {
    let life = Duration::from_secs(3_600);
    let Some(mut this) = AppScene::with_agent(place, life).await else { return };
    let job = this.scene.add_job().await;
    let first = this.scene.home.start();
    at_work(&this, &job).await;
    assert_eq!(this.tokens(1).await.len(), 1);
    first.kill().await;

    let mut second = this.scene.home.start();
    second.wait_for_log("the agent has a new token").await;
    let tokens = this.tokens(2).await;
    assert_eq!(tokens.len(), 2);
    match place {
        Place::Container => {
            this.scene.engine.exec(job.job_id, "0", &["touch", GO_IN_IMAGE]).await;
        }
        Place::Host => std::fs::write(this.scene.home.dir().join("go"), "").unwrap(),
    }
    let ended = this.scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{ended:?}\n{}", this.scene.home.job_log(job.job_id));
    assert!(this.used(&tokens[1]) && !this.used(&tokens[0]));
    this.assert_tokens_are_nowhere();
    this.shut_down(second).await;
}

#[tokio::test]
async fn a_coordinator_that_adopts_a_container_replaces_its_token_at_once() {
    adopted(Place::Container).await;
}

#[tokio::test]
async fn a_coordinator_that_adopts_an_agent_on_the_host_replaces_its_token_at_once() {
    adopted(Place::Host).await;
}

#[tokio::test]
async fn a_repository_without_the_app_fails_its_own_job_and_holds_no_other() {
    let script = "field GITHUB_TOKEN; echo; field GH_TOKEN; pause";
    let hour = Duration::from_secs(3_600);
    let Some(mut this) = AppScene::or_skip(script, hour).await else { return };
    let elsewhere = format!("{}acme/other.git", this.forge.url());
    let elsewhere = this.scene.app.add_project(&elsewhere).await;
    let (bad, good) = (this.scene.app.add_job(elsewhere).await, this.scene.add_job().await);
    let coordinator = this.scene.home.start();

    let ended = this.scene.app.ended(bad.job_id).await;
    let reason = ended.fail_reason.unwrap_or_default();
    assert_eq!(ended.status, "failed");
    assert!(reason.contains("the GitHub App is not installed on acme/other"), "{reason}");
    this.scene.engine.pausing(good.job_id).await;
    let token = this.tokens(1).await.remove(0);
    let output = this.scene.engine.output(good.job_id).await;
    assert_eq!(output.matches(token.as_str()).count(), 2, "{output}");
    this.scene.engine.release(good.job_id).await;
    assert_eq!(this.scene.app.ended(good.job_id).await.status, "completed");
    // The agent printed it; the coordinator knows and hides it.
    assert!(this.scene.home.job_log(good.job_id).contains("[redacted]"));
    this.assert_tokens_are_nowhere();
    this.shut_down(coordinator).await;
}

#[tokio::test]
async fn a_key_that_the_forge_does_not_know_holds_the_claims_until_it_is_mended() {
    let hour = Duration::from_secs(3_600);
    let Some(mut this) = AppScene::or_skip("exit 0", hour).await else { return };
    let config = this.scene.home.dir().join("coordinator.toml");
    std::fs::write(&config, "[github_app]\nid = 7\n").unwrap();
    this.scene.home.unset("GITHUB_APP_ID");
    let job = this.scene.add_job().await;
    let mut coordinator = this.scene.home.start_with(&["--config", config.to_str().unwrap()]);
    coordinator.wait_for_log("did not accept the GitHub App's signature").await;
    assert_eq!(this.scene.app.job(job.job_id).await.status, "pending");

    std::fs::write(&config, format!("[github_app]\nid = {APP_ID}\n")).unwrap();
    coordinator.signal(nix::sys::signal::Signal::SIGHUP);
    assert_eq!(this.scene.app.ended(job.job_id).await.status, "completed");
    this.shut_down(coordinator).await;
}
