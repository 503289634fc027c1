//! Agents that meet a limit, and ends that someone else brings: each with its cause by name.

use std::time::{Duration, Instant};

use integration_tests::harness::{AppProxy, eventually, process_runs};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::scene::Scene;

/// Goes on for ever, prints all the time, and does not listen.
const STUBBORN: &str = "trap true TERM; while :; do echo x; sleep 0.05; done";

/// Goes on for ever, prints all the time, and ends when it is asked to.
const OBEDIENT: &str = "trap 'echo saved; exit 7' TERM; while :; do echo x; sleep 0.05; done";

/// The cause that the app was told for the only job that was reported, which failed.
async fn cause(proxy: &AppProxy) -> String {
    let reports = proxy.reported(1).await;
    assert!(matches!(reports.as_slice(), [only] if only.ends_with("/fail")), "{reports:?}");
    let body: Value = serde_json::from_slice(&proxy.exchanges("/fail")[0].request).unwrap();
    body["cause"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_agent_on_the_host_that_does_not_listen_is_killed_at_its_deadline() {
    let Some(mut scene) = Scene::or_skip(STUBBORN).await else { return };
    let proxy = scene.through_proxy().await;
    scene.home.set("HOST_FALLBACK", "always").set("JOB_TIMEOUT", "1s").set("STOP_GRACE", "0.5");
    scene.add_job().await;
    let coordinator = scene.home.start();
    assert_eq!(cause(&proxy).await, "deadline");
    assert!(scene.home.host_runs().iter().all(|agent| !process_runs(*agent)));
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_deadline_on_the_host_counts_while_no_coordinator_runs() {
    const LIMIT: Duration = Duration::from_secs(4);
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    let proxy = scene.through_proxy().await;
    scene.home.set("HOST_FALLBACK", "always").set("JOB_TIMEOUT", "4s");
    scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("agent started").await;
    let began = Instant::now();
    first.kill().await;
    eventually("its time to be up", async || (began.elapsed() > LIMIT).then_some(())).await;

    let begun = Instant::now();
    let mut second = scene.home.start();
    second.wait_for_log("stopping the agent").await;
    assert!(begun.elapsed() < LIMIT, "it counts anew: {:?}", begun.elapsed());
    assert_eq!(cause(&proxy).await, "deadline");
    second.terminate().await;
}

#[tokio::test]
async fn an_agent_on_the_host_that_falls_silent_is_ended() {
    let Some(mut scene) = Scene::or_skip("echo once; pause").await else { return };
    let proxy = scene.through_proxy().await;
    scene.home.set("HOST_FALLBACK", "always").set("STALL_TIMEOUT", "1s").set("STOP_GRACE", "0.2");
    scene.add_job().await;
    let coordinator = scene.home.start();
    assert_eq!(cause(&proxy).await, "stalled");
    assert!(scene.home.host_runs().iter().all(|agent| !process_runs(*agent)));
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_cancelled_agent_is_asked_to_end_within_five_seconds_on_the_host_as_well() {
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    scene.home.set("HOST_FALLBACK", "always");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    // From then on it listens.
    eventually("its first line", async || {
        scene.home.job_log(job.job_id).contains("x\n").then_some(())
    })
    .await;
    scene.app.cancel(&job).await;
    let begun = Instant::now();
    coordinator.wait_for_log("stopping the agent").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(scene.app.ended(job.job_id).await.status, "cancelled");
    assert!(scene.home.job_log(job.job_id).contains("saved\n"));
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_cancel_ends_its_own_job_and_the_next_cancel_the_next_job_of_the_ticket() {
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    let proxy = scene.through_proxy().await;
    let first = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.claimed(first.job_id).await;
    scene.app.cancel(&first).await;
    assert_eq!(scene.app.ended(first.job_id).await.status, "cancelled");

    let second = scene.app.add_job_again(&first).await;
    scene.app.claimed(second.job_id).await;
    let looked = proxy.exchanges("/cancel-requested").len();
    eventually("two looks at the flag", async || {
        (proxy.exchanges("/cancel-requested").len() >= looked + 2).then_some(())
    })
    .await;
    assert_eq!(scene.app.job(second.job_id).await.status, "running");
    scene.app.cancel(&second).await;
    assert_eq!(scene.app.ended(second.job_id).await.status, "cancelled");
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_agent_that_the_kernel_ends_for_want_of_memory_is_told_as_such() {
    let Some(mut scene) = Scene::or_skip("pause; hog=$(yes)").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    // So that the container stays until the test has seen what the engine tells.
    first.kill().await;
    if scene.engine.bound_memory(job.job_id, 32 << 20).await.is_none() {
        return;
    }
    scene.engine.release(job.job_id).await;
    let ended = eventually("its end", async || {
        let state = scene.engine.inspect(job.job_id).await?.state?;
        (state.running == Some(false)).then_some(state)
    })
    .await;
    assert_eq!(ended.exit_code, Some(137));

    // Not every runtime tells the engine why.
    let told = ended.oom_killed == Some(true);
    let second = scene.home.start();
    assert_eq!(cause(&proxy).await, if told { "out_of_memory" } else { "agent_killed" });
    second.terminate().await;
}

#[tokio::test]
async fn an_agent_that_someone_killed_is_told_by_its_signal() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    scene.engine.signal(job.job_id, Signal::SIGKILL.as_str()).await;
    assert_eq!(cause(&proxy).await, "agent_killed");
    let reason = scene.app.ended(job.job_id).await.fail_reason.unwrap_or_default();
    assert!(reason.contains("signal 9"), "{reason}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_container_that_someone_removed_while_it_ran_is_told_as_such() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    scene.engine.remove(job.job_id).await;
    assert_eq!(cause(&proxy).await, "container_gone");
    assert!(scene.home.host_runs().is_empty());
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_image_that_went_between_claim_and_create_is_told_as_such() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = scene.through_proxy().await;
    let image = scene.engine.image();
    image.make().await;
    scene.home.set("AGENT_IMAGE", image.name());
    // Long enough for the image to be gone when the coordinator hears of its job.
    proxy.slow_down("/jobs/start", Duration::from_secs(2));
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.claimed(job.job_id).await;
    image.remove().await;
    assert_eq!(cause(&proxy).await, "image_missing");
    let reason = scene.app.ended(job.job_id).await.fail_reason.unwrap_or_default();
    assert!(reason.contains(image.name()), "{reason}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn more_outcomes_than_may_wait_hold_new_claims_and_are_all_delivered() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = scene.through_proxy().await;
    // Each is tried again only after a minute, or when the settings are read again.
    proxy.refuse("/complete", 401, 2);
    scene.home.set("OUTBOX_MAX", "1");
    scene.app.add_jobs(scene.project, 2).await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("OUTBOX_MAX").await;
    let late = scene.add_job().await;
    let (code, status) = scene.home.command(&["status"]).await;
    assert_eq!((code, status.matches("outbox ").count()), (Some(0), 2), "{status}");
    assert_eq!(scene.app.job(late.job_id).await.status, "pending");

    coordinator.signal(Signal::SIGHUP);
    scene.app.reached("completed", 3).await;
    assert_eq!(proxy.reported(3).await.len(), 3);
    coordinator.terminate().await;
}
