//! Stops, crashes and restarts, of the coordinator and of the app: one outcome for every job.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use integration_tests::harness::{AppProxy, EngineProxy, Home, Moment, Starts, eventually};

use crate::scene::Scene;

/// Numbered lines before and after a pause.
const LINES: &str = "seq 1 500; pause; seq 501 1000";

/// What such an agent prints, without a gap or a repeat.
fn all_lines() -> String {
    let numbers = |from: u32, to: u32| (from..=to).map(|n| format!("{n}\n")).collect::<String>();
    format!("agent-runner: started\n{}pausing\n{}", numbers(1, 500), numbers(501, 1000))
}

#[tokio::test]
async fn a_stopped_coordinator_leaves_its_container_running_and_the_next_one_adopts_it() {
    let Some(mut scene) = Scene::or_skip(LINES).await else { return };
    let (proxy, starts) = (AppProxy::start(&scene.app.url()).await, Starts::watch(&scene.engine));
    scene.home = Home::new(&proxy.url());
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("agent started").await;
    scene.engine.pausing(job.job_id).await;

    let begun = Instant::now();
    first.terminate().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(scene.engine.runs(job.job_id).await);
    assert_eq!(scene.app.job(job.job_id).await.status, "running");

    let mut second = scene.home.start();
    second.wait_for_log("job adopted").await;
    scene.engine.release(job.job_id).await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    assert_eq!(proxy.reported(1).await, [format!("{}/complete", job.job_id)]);
    assert_eq!(starts.count(&scene.home.id().unwrap()), 1);
    assert_eq!(scene.home.job_log(job.job_id), all_lines());
    second.terminate().await;
}

#[tokio::test]
async fn a_job_that_ends_while_no_coordinator_runs_is_reported_by_the_next_one() {
    let Some(mut scene) = Scene::or_skip("pause; echo last words; exit 4").await else { return };
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("agent started").await;
    scene.engine.pausing(job.job_id).await;
    first.kill().await;
    scene.engine.release(job.job_id).await;
    eventually("the container's end", async || {
        (!scene.engine.runs(job.job_id).await).then_some(())
    })
    .await;

    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    assert!(ended.fail_reason.unwrap_or_default().contains("exit 4"));
    let log = scene.app.ticket_log(&job).await;
    let tail = log.iter().find_map(|entry| entry.raw_output.as_deref()).unwrap_or_default();
    assert!(tail.ends_with("last words\n"), "{log:?}");
    second.terminate().await;
}

#[tokio::test]
async fn a_killed_coordinator_loses_no_job_and_leaves_no_container() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let (proxy, starts) = (AppProxy::start(&scene.app.url()).await, Starts::watch(&scene.engine));
    scene.home = Home::new(&proxy.url());
    scene.home.set("MAX_CONCURRENT_AGENTS", "3");
    let jobs = scene.app.add_jobs(scene.project, 3).await;
    let first = scene.home.start();
    // One has come to its pause; the others may be anywhere on their way.
    scene.engine.pausing(jobs[0].job_id).await;
    first.kill().await;

    let second = scene.home.start();
    for job in &jobs {
        eventually("the job to pause or to end", async || {
            let running = scene.app.job(job.job_id).await.status == "running";
            let there = scene.engine.runs(job.job_id).await;
            if running && there && scene.engine.output(job.job_id).await.ends_with("pausing\n") {
                scene.engine.release(job.job_id).await;
            }
            (!running && !there).then_some(())
        })
        .await;
    }
    let reports = proxy.reported(3).await;
    let reported: BTreeSet<&str> = reports.iter().map(|end| &end[..36]).collect();
    assert_eq!((reports.len(), reported.len()), (3, 3), "{reports:?}");
    // A container that never got its document may have been started in vain.
    assert!(starts.count(&scene.home.id().unwrap()) <= 6);
    assert!(scene.home.host_runs().is_empty());
    eventually("all records to be forgotten", async || {
        scene.home.records().is_empty().then_some(())
    })
    .await;
    assert_eq!(scene.containers().await, 0);
    second.terminate().await;
}

#[tokio::test]
async fn a_job_that_was_claimed_and_never_started_is_started_by_the_next_coordinator() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (engine, starts) = (EngineProxy::start(), Starts::watch(&scene.engine));
    let proxy = AppProxy::start(&scene.app.url()).await;
    scene.home = Home::new(&proxy.url());
    engine.down_at(Moment::Never, "POST", "/start");
    scene.home.set("DOCKER_HOST", &engine.host());
    let job = scene.add_job().await;
    let first = scene.home.start();
    engine.trap_sprung().await;
    first.kill().await;
    assert_eq!(scene.containers().await, 1);

    let second = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    assert_eq!(proxy.reported(1).await, [format!("{}/complete", job.job_id)]);
    eventually("the container to be removed", async || {
        (scene.containers().await == 0).then_some(())
    })
    .await;
    assert_eq!(starts.count(&scene.home.id().unwrap()), 1);
    assert_eq!(scene.app.job(job.job_id).await.attempt, 1);
    second.terminate().await;
}

#[tokio::test]
async fn an_agent_on_the_host_survives_its_coordinator_and_the_next_one_adopts_it() {
    let Some(mut scene) = Scene::or_skip(LINES).await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    scene.home = Home::new(&proxy.url());
    scene.home.set("HOST_FALLBACK", "always");
    let job = scene.add_job().await;
    let first = scene.home.start();
    let agent =
        eventually("an agent on the host", async || scene.home.host_runs().first().copied()).await;
    scene.home.pausing(job.job_id).await;
    first.terminate().await;
    assert!(Path::new(&format!("/proc/{agent}")).exists());

    let mut second = scene.home.start();
    second.wait_for_log("job adopted").await;
    let pid = nix::unistd::Pid::from_raw(agent.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).unwrap();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    assert_eq!(scene.home.host_runs(), [agent]);
    assert_eq!(scene.home.job_log(job.job_id), all_lines());
    assert_eq!(proxy.reported(1).await, [format!("{}/complete", job.job_id)]);
    second.terminate().await;
}

#[tokio::test]
async fn an_outcome_is_delivered_once_the_app_is_back() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    scene.end_while_the_app_is_away(&job, &mut coordinator).await;

    scene.app.restart().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_outcome_that_the_app_answers_with_500_is_delivered_later() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    proxy.refuse("/complete", 500, 2);
    scene.home = Home::new(&proxy.url());
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    eventually("the third answer", async || {
        (proxy.exchanges("/complete").len() == 3).then_some(())
    })
    .await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_outcome_that_was_refused_with_401_is_kept_and_delivered_after_a_restart() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    proxy.refuse("/complete", 401, 1);
    scene.home = Home::new(&proxy.url());
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("TERARCHITECT_WORKER_API_KEY").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "running");
    first.terminate().await;

    let second = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    second.terminate().await;
}

#[tokio::test]
async fn another_engine_gives_up_no_job_and_gets_none() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("MAX_CONCURRENT_AGENTS", "2");
    let job = scene.add_job().await.job_id;
    let first = scene.home.start();
    scene.engine.pausing(job).await;
    first.kill().await;
    // What another engine is to a coordinator: an id that it does not know, and no container.
    let file = scene.home.state_dir().join("engine-id");
    let id = fs::read_to_string(&file).unwrap();
    fs::write(&file, "another\n").unwrap();
    scene.engine.remove(job).await;

    let mut second = scene.home.start();
    let waiting = scene.add_job().await.job_id;
    let log = second.wait_for_log("nothing is claimed").await;
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert!(log.contains("DOCKER_HOST") && log.contains("engine-id"), "{log}");
    second.wait_for_log("waiting for the engine").await;
    assert_eq!(scene.app.job(job).await.status, "running");
    assert_eq!(scene.app.job(waiting).await.status, "pending");
    second.kill().await;

    fs::write(&file, id).unwrap();
    let third = scene.home.start();
    let ended = scene.app.ended(job).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("nothing tells how"));
    scene.engine.pausing(waiting).await;
    third.terminate().await;
}

#[tokio::test]
async fn a_cancel_ends_a_job_whose_engine_was_replaced_for_good() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("STOP_GRACE", "0.2");
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    first.kill().await;
    fs::write(scene.home.state_dir().join("engine-id"), "another\n").unwrap();
    scene.engine.remove(job.job_id).await;

    let mut second = scene.home.start();
    second.wait_for_log("waiting for the engine").await;
    scene.app.cancel(&job).await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "cancelled");
    // The engine that is there now takes the next one.
    let next = scene.add_job().await.job_id;
    scene.engine.pausing(next).await;
    second.terminate().await;
}

#[tokio::test]
async fn a_record_that_nobody_carries_out_strands_no_job() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    scene.home.command(&["pause"]).await;
    let job = scene.add_job().await.job_id;
    // As a write leaves it that failed after the file had its name.
    let record = scene.home.state_dir().join(format!("jobs/{job}.json"));
    fs::write(record, "{}").unwrap();
    scene.home.command(&["resume"]).await;
    assert_eq!(scene.app.ended(job).await.status, "completed");
    coordinator.terminate().await;
}
