//! Leases over kills and outages, and the keepers of agents on the host.

use std::time::{Duration, Instant, SystemTime};

use api_client::JobId;
use integration_tests::harness::{
    AppProxy, Coordinator, Exchange, Home, Starts, eventually, process_runs, release_process,
    signal_process,
};
use nix::sys::signal::Signal;
use reqwest::StatusCode;

use crate::scene::Scene;

/// Of the app of [`with_leases`].
const LEASE: Duration = Duration::from_secs(2);

/// A scene whose coordinator comes to the app through a proxy; its jobs have short leases, and fail
/// for good with the second that is over.
async fn with_leases(script: &str) -> Option<(Scene, AppProxy)> {
    let mut scene = Scene::with_app(&["--lease-sec", "2", "--max-attempts", "2"], script).await?;
    let proxy = scene.through_proxy().await;
    Some((scene, proxy))
}

/// Starts a coordinator and kills it once it has an agent.
async fn killed_with_an_agent(home: &mut Home) {
    let mut coordinator = home.start();
    coordinator.wait_for_log("agent started").await;
    coordinator.kill().await;
}

async fn forgets_all(home: &Home) {
    eventually("all records to be forgotten", async || home.records().is_empty().then_some(()))
        .await;
}

/// Starts an agent on the host, which pauses, and tells its process.
async fn agent_on_host(home: &mut Home, job: JobId) -> (Coordinator, u32) {
    let mut coordinator = home.set("HOST_FALLBACK", "always").start();
    coordinator.wait_for_log("agent started").await;
    home.pausing(job).await;
    (coordinator, *home.host_runs().last().unwrap())
}

async fn ends(agent: u32) {
    eventually("the end of an agent", async || (!process_runs(agent)).then_some(())).await;
}

fn reports(proxy: &AppProxy) -> Vec<Exchange> {
    [proxy.exchanges("/complete"), proxy.exchanges("/fail")].concat()
}

#[tokio::test]
async fn a_job_of_a_dead_coordinator_is_done_by_another_which_alone_reports_it() {
    let Some((mut scene, proxy)) = with_leases("pause").await else { return };
    let mut other = Home::new(&scene.app.url());
    let job = scene.add_job().await;
    killed_with_an_agent(&mut scene.home).await;
    let mut second = other.start();
    second.wait_for_log("agent started").await;
    scene.engine.pausing(job.job_id).await;
    scene.engine.release(job.job_id).await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 2));

    let mut late = scene.home.start();
    late.wait_for_log("not reported").await;
    forgets_all(&scene.home).await;
    assert!(reports(&proxy).is_empty() && proxy.exchanges("/logs").is_empty());
    late.terminate().await;
    second.terminate().await;
    let left = scene.engine.containers(&other.id().unwrap()).await.len();
    assert_eq!((scene.containers().await, left), (0, 0));
}

#[tokio::test]
async fn a_job_whose_coordinators_die_is_failed_after_the_attempts_it_has() {
    let Some((mut scene, proxy)) = with_leases("pause").await else { return };
    let mut other = Home::new(&scene.app.url());
    let job = scene.add_job().await;
    killed_with_an_agent(&mut scene.home).await;
    killed_with_an_agent(&mut other).await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("failed", 2));
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("lease expired 2 times"), "{reason}");

    // Neither of them, back again, goes on with it or leaves anything of it.
    let late = [scene.home.start(), other.start()];
    for home in [&scene.home, &other] {
        forgets_all(home).await;
        assert!(scene.engine.containers(&home.id().unwrap()).await.is_empty());
    }
    assert!(reports(&proxy).is_empty());
    assert_eq!(scene.app.job(job.job_id).await.status, "failed");
    for coordinator in late {
        coordinator.terminate().await;
    }
}

#[tokio::test]
async fn a_job_that_runs_while_the_app_is_away_for_longer_than_its_lease_is_not_given_out_again() {
    let Some((mut scene, proxy)) = with_leases("pause").await else { return };
    let starts = Starts::watch(&scene.engine);
    // A slot is free: the coordinator asks for further jobs as soon as the app is back.
    scene.home.set("MAX_CONCURRENT_AGENTS", "2");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    scene.app.stop().await;
    let begun = Instant::now();
    eventually("the lease to be over", async || (begun.elapsed() > LEASE).then_some(())).await;
    let back = SystemTime::now();
    scene.app.restart().await;
    for (path, status) in [("/heartbeat", StatusCode::OK), ("/jobs/start", StatusCode::NO_CONTENT)]
    {
        eventually(&format!("{status} to {path}"), async || {
            let mut after = proxy.exchanges(path).into_iter().filter(|it| it.answered > back);
            after.any(|it| it.status == status).then_some(())
        })
        .await;
    }
    scene.engine.release(job.job_id).await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    assert_eq!(proxy.reported(1).await, [format!("{}/complete", job.job_id)]);
    assert_eq!(starts.count(&scene.home.id().unwrap()), 1);
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_late_coordinator_kills_its_agent_on_the_host_and_reports_nothing() {
    let Some((mut scene, proxy)) = with_leases("pause").await else { return };
    let mut other = Home::new(&scene.app.url());
    let job = scene.add_job().await;
    let (first, agent) = agent_on_host(&mut scene.home, job.job_id).await;
    first.kill().await;
    let (second, successor) = agent_on_host(&mut other, job.job_id).await;
    assert!(process_runs(agent));

    let mut late = scene.home.start();
    late.wait_for_log("the job is no longer ours").await;
    ends(agent).await;
    forgets_all(&scene.home).await;
    assert!(reports(&proxy).is_empty());
    release_process(successor);
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 2));
    late.terminate().await;
    second.terminate().await;
}

#[tokio::test]
async fn an_agent_on_the_host_that_ends_while_no_coordinator_runs_is_reported_by_the_next_one() {
    let Some(mut scene) = Scene::or_skip("pause; echo last words; exit 4").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let (first, agent) = agent_on_host(&mut scene.home, job.job_id).await;
    first.kill().await;
    release_process(agent);
    eventually("its end on disk", async || scene.home.kept_an_end().then_some(())).await;

    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("exit 4"));
    assert_eq!(proxy.reported(1).await, [format!("{}/fail", job.job_id)]);
    assert!(scene.home.job_log(job.job_id).ends_with("last words\n"));
    assert_eq!(scene.home.host_runs(), [agent]);
    second.terminate().await;
}

#[tokio::test]
async fn a_keeper_that_is_killed_costs_the_job_and_leaves_no_agent() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let (coordinator, agent) = agent_on_host(&mut scene.home, job.job_id).await;
    signal_process(scene.home.keeper().unwrap(), Signal::SIGKILL);
    ends(agent).await;
    let reason = scene.app.ended(job.job_id).await.fail_reason.unwrap_or_default();
    assert!(reason.contains("its keeper on this host was ended"), "{reason}");
    assert_eq!(proxy.reported(1).await, [format!("{}/fail", job.job_id)]);
    forgets_all(&scene.home).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_keeper_that_is_killed_while_no_coordinator_runs_leaves_no_agent_either() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let (first, agent) = agent_on_host(&mut scene.home, job.job_id).await;
    first.kill().await;
    signal_process(scene.home.keeper().unwrap(), Signal::SIGKILL);

    let second = scene.home.start();
    ends(agent).await;
    let ended = scene.app.ended(job.job_id).await;
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("while the coordinator was away"), "{reason}");
    assert_eq!(proxy.reported(1).await, [format!("{}/fail", job.job_id)]);
    second.terminate().await;
}

#[tokio::test]
async fn a_job_that_is_given_anew_while_its_earlier_life_ends_costs_no_attempt() {
    let Some((mut scene, proxy)) = with_leases("pause").await else { return };
    scene.home.set("MAX_CONCURRENT_AGENTS", "2");
    let job = scene.add_job().await;
    let (first, agent) = agent_on_host(&mut scene.home, job.job_id).await;
    first.kill().await;
    // Nothing tells of the claim any more: the app takes the job back, and gives it again.
    for record in scene.home.records() {
        std::fs::write(record, "no record").unwrap();
    }
    let mut second = scene.home.start();
    second.wait_for_log("which is held under an earlier claim").await;
    let (given, begun) = (proxy.claims().len(), Instant::now());
    eventually("more than another lease", async || {
        (proxy.claims().len() > given + 2 && begun.elapsed() > LEASE * 2).then_some(())
    })
    .await;
    let held = scene.app.job(job.job_id).await;
    assert_eq!((held.status.as_str(), held.attempt), ("running", 2));
    release_process(agent);
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    second.terminate().await;
}
