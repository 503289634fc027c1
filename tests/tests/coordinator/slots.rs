//! How many jobs run at once, in which order they are claimed, and how soon.

use std::time::{Duration, Instant};

use api_client::ProjectId;
use futures_util::future::join_all;
use integration_tests::harness::{App, AppProxy, Engine, Home, Job, Starts, eventually};
use nix::sys::signal::Signal;

use crate::scene::Scene;

/// The projects of the claims, in their order.
fn claimed_projects(proxy: &AppProxy) -> Vec<ProjectId> {
    let claims = proxy.claims().into_iter();
    claims.map(|claim| claim.answer_field("project_id").unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn twenty_jobs_of_two_projects_run_four_at_once_in_fair_turn() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    let starts = Starts::watch(&scene.engine);
    let other = scene.app.add_project("http://forge.example/acme/other").await;
    let mut jobs = scene.app.add_jobs(scene.project, 10).await;
    jobs.extend(scene.app.add_jobs(other, 10).await);
    scene.home = Home::new(&proxy.url());
    scene.home.set("MAX_CONCURRENT_AGENTS", "4");
    scene.home.set("PROJECT_IDS", &format!("{},{other}", scene.project));
    let coordinator = scene.home.start();

    let running = async || (starts.most_at_once(&scene.home.id()?) == 4).then_some(());
    eventually("four containers at once", running).await;
    join_all(jobs.iter().map(async |job| {
        scene.engine.pausing(job.job_id).await;
        scene.engine.release(job.job_id).await;
    }))
    .await;
    scene.app.reached("completed", 20).await;
    let id = scene.home.id().unwrap();
    assert_eq!((starts.count(&id), starts.most_at_once(&id)), (20, 4));
    let (mut first, mut second) = (0_i32, 0_i32);
    for project in claimed_projects(&proxy) {
        *(if project == other { &mut second } else { &mut first }) += 1;
        assert!((first - second).abs() <= 1, "{first} of one project, {second} of the other");
    }
    assert_eq!(proxy.reported(20).await.len(), 20);
    assert!(scene.home.host_runs().is_empty());
    coordinator.terminate().await;
}

/// Waits until exactly these jobs pause in containers while the others wait.
async fn paused(engine: &Engine, jobs: &[Job]) {
    for job in jobs {
        eventually("a container that runs", async || engine.runs(job.job_id).await.then_some(()))
            .await;
    }
}

async fn pending(app: &App) -> usize {
    app.counts().await.get("pending").copied().unwrap_or(0)
}

#[tokio::test]
async fn the_app_s_limit_overrides_the_coordinator_s_at_the_start() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    scene.app.set("MAX_CONCURRENT_AGENTS", 2).await;
    scene.home = Home::new(&proxy.url());
    scene.home.set("MAX_CONCURRENT_AGENTS", "1");
    let jobs = scene.app.add_jobs(scene.project, 3).await;
    let coordinator = scene.home.start();

    paused(&scene.engine, &jobs[..2]).await;
    assert_eq!(pending(&scene.app).await, 1);
    assert_eq!(proxy.claims().len(), 2);
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_limit_in_the_file_is_taken_up_although_the_app_s_settings_are_not_to_be_had() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = scene.through_proxy().await;
    proxy.refuse("/api/settings", 404, usize::MAX);
    let file = scene.home.dir().join("coordinator.toml");
    std::fs::write(&file, "[schedule]\nmax_concurrent = 1\n").unwrap();
    scene.home.unset("MAX_CONCURRENT_AGENTS");
    let jobs = scene.app.add_jobs(scene.project, 2).await;
    let mut coordinator = scene.home.start_with(&["--config", file.to_str().unwrap()]);
    paused(&scene.engine, &jobs[..1]).await;
    assert_eq!(pending(&scene.app).await, 1);

    std::fs::write(&file, "[schedule]\nmax_concurrent = 2\n").unwrap();
    coordinator.signal(Signal::SIGHUP);
    coordinator.wait_for_log("settings taken up: MAX_CONCURRENT_AGENTS").await;
    paused(&scene.engine, &jobs).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_raised_limit_takes_effect_while_every_slot_is_busy() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.app.set("MAX_CONCURRENT_AGENTS", 1).await;
    let jobs = scene.app.add_jobs(scene.project, 2).await;
    let coordinator = scene.home.start();
    paused(&scene.engine, &jobs[..1]).await;
    assert_eq!(pending(&scene.app).await, 1);

    scene.app.set("MAX_CONCURRENT_AGENTS", 2).await;
    paused(&scene.engine, &jobs).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn at_most_one_claim_is_in_flight() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    proxy.slow_down("/jobs/start", Duration::from_millis(100));
    scene.app.add_jobs(scene.project, 6).await;
    scene.home = Home::new(&proxy.url());
    scene.home.set("MAX_CONCURRENT_AGENTS", "6").set("POLL_INTERVAL_SEC", "0.05");
    let coordinator = scene.home.start();

    scene.app.reached("completed", 6).await;
    assert_eq!(proxy.most_claims_in_flight(), 1);
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_freed_slot_is_refilled_at_once_and_not_at_the_next_poll() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("MAX_CONCURRENT_AGENTS", "1").set("POLL_INTERVAL_SEC", "60");
    scene.app.add_jobs(scene.project, 5).await;
    let begun = Instant::now();
    let coordinator = scene.home.start();

    scene.app.reached("completed", 5).await;
    // One poll would have taken at least 45 s.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    coordinator.terminate().await;
}
