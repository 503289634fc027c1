//! Jobs that take more than they may: each ends with its cause by name, and the job beside them, which
//! runs all the while, does not notice.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use api_client::{JobId, ProjectId};
use integration_tests::forge::{ForgeOptions, RepoName, RepoSource, TestForge, Token};
use integration_tests::harness::{
    AGENT_IMAGE, AppProxy, GO_IN_IMAGE, build_agent_image, eventually,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::scene::Scene;

/// Many small ones, so that the largest process is not the one to blame.
const EATS_MEMORY: &str = "for n in 1 2 3 4 5 6 7 8; do (hog=$(yes | head -c 20000000); \
    sleep 4) & :; done; wait; exit 1";
const FORKS: &str = "while :; do sleep 600 & :; done";
const FILLS_DISK: &str = "head -c 100000000 /dev/zero >big; exec sleep 600";

/// Settings of all jobs. The disk is looked at every few seconds.
const LIMITS: [(&str, &str); 4] = [
    ("AGENT_MEMORY", "96m"),
    ("AGENT_PIDS", "48"),
    ("AGENT_DISK", "64m"),
    ("MAX_CONCURRENT_AGENTS", "4"),
];

/// A scene with limits, whose way to the app leads through a proxy.
async fn limited(script: &str) -> Option<(Scene, AppProxy)> {
    let mut scene = Scene::or_skip(script).await?;
    let proxy = scene.through_proxy().await;
    for (name, value) in LIMITS {
        scene.home.set(name, value);
    }
    Some((scene, proxy))
}

/// The cause that the app is told for a job, once it is.
async fn cause(proxy: &AppProxy, job: JobId) -> String {
    let report = eventually("the report of a failure", async || {
        proxy.exchanges(&format!("/jobs/{job}/fail")).pop()
    })
    .await;
    let body: Value = serde_json::from_slice(&report.request).unwrap();
    body["cause"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn processes_and_disk_of_one_agent_end_at_its_limits_and_leave_its_neighbour_alone() {
    let Some((mut scene, proxy)) = limited("").await else { return };
    let forking = scene.app.add_project("http://forge.example/acme/forks").await;
    let filling = scene.app.add_project("http://forge.example/acme/fills").await;
    let script = format!(
        "case $(field PROJECT_ID) in {forking}) {FORKS} ;; {filling}) {FILLS_DISK} ;; *) pause ;; esac"
    );
    scene.app.set_script(&script).await;
    let neighbour = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(neighbour.job_id).await;
    let forks = scene.app.add_job(forking).await;
    let fills = scene.app.add_job(filling).await;

    assert_eq!(cause(&proxy, forks.job_id).await, "pids_limit");
    assert_eq!(cause(&proxy, fills.job_id).await, "disk_limit");
    scene.engine.release(neighbour.job_id).await;
    assert_eq!(scene.app.ended(neighbour.job_id).await.status, "completed");
    eventually("nothing left", async || (scene.containers().await == 0).then_some(())).await;
    coordinator.terminate().await;
}

/// A forge and the repositories of projects, each with what its worker does.
struct Repositories {
    forge: TestForge,
    folder: TempDir,
}

impl Repositories {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options =
            ForgeOptions::new(folder.path().join("forge"), Token::new("ghp_of_all").unwrap());
        options.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self { forge: TestForge::start(options).await.unwrap(), folder }
    }

    async fn project(&self, scene: &Scene, name: &str, worker: Option<&str>) -> ProjectId {
        let source = self.folder.path().join(name);
        seed(&source, worker).await;
        let repo = RepoName::new("acme", name).unwrap();
        self.forge.create_repo(&repo, RepoSource::From(&source)).await.unwrap();
        scene.app.add_project(self.forge.clone_url(&repo).as_str()).await
    }
}

/// A repository of one commit.
async fn seed(path: &Path, worker: Option<&str>) {
    std::fs::create_dir(path).unwrap();
    std::fs::write(path.join("README"), "one").unwrap();
    if let Some(worker) = worker {
        let program = path.join("worker");
        std::fs::write(&program, format!("#!/bin/sh\n{worker}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let script = "git init -q -b main && git add . && \
        git -c user.name=P -c user.email=p@example.org commit -q -m first";
    let made = Command::new("sh").args(["-c", script]).current_dir(path).status().await;
    assert!(made.unwrap().success());
}

#[tokio::test]
async fn a_worker_that_meets_a_limit_is_told_by_name_and_its_neighbours_deliver() {
    let Some((mut scene, proxy)) = limited("unused").await else { return };
    build_agent_image(&scene.engine).await;
    let repositories = Repositories::start().await;
    for (name, value) in [
        ("AGENT_IMAGE", AGENT_IMAGE),
        ("GITHUB_TOKEN", "ghp_of_all"),
        ("FORGE_API_URL", repositories.forge.api_url().as_str()),
        ("WORKER_API_KEY", "sk-of-the-model"),
        ("WORKER_MODE", "claude-code"),
    ] {
        scene.home.set(name, value);
    }
    let peaceful = repositories.project(&scene, "peaceful", None).await;
    let neighbour = scene.app.add_job(peaceful).await;
    let coordinator = scene.home.start();
    eventually("the neighbour at work", async || {
        let log = scene.app.ticket_log(&neighbour).await;
        log.iter().any(|entry| entry.step.contains("prompt")).then_some(())
    })
    .await;
    let mut jobs = Vec::new();
    for (name, worker, expected) in [
        ("eats", EATS_MEMORY, "out_of_memory"),
        ("forks", FORKS, "pids_limit"),
        ("fills", FILLS_DISK, "disk_limit"),
    ] {
        let project = repositories.project(&scene, name, Some(worker)).await;
        jobs.push((scene.app.add_job(project).await, expected));
    }
    for (job, expected) in jobs {
        let told = cause(&proxy, job.job_id).await;
        assert_eq!(told, expected, "{}", scene.home.job_log(job.job_id));
    }
    scene.engine.exec(neighbour.job_id, "0", &["touch", GO_IN_IMAGE]).await;
    let ended = scene.app.ended(neighbour.job_id).await;
    assert_eq!(ended.status, "completed", "{}", scene.home.job_log(neighbour.job_id));
    eventually("nothing left", async || (scene.containers().await == 0).then_some(())).await;
    coordinator.terminate().await;
    repositories.forge.shutdown().await.unwrap();
}
