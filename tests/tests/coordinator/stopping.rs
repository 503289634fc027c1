//! Stops in the middle of things, and the operator's commands to the running coordinator.

use std::fs;
use std::time::{Duration, Instant};

use integration_tests::harness::{EngineProxy, KEY, Moment, eventually};
use nix::sys::signal::Signal;

use crate::scene::Scene;

/// A stop takes no longer, whatever is under way.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Goes on until it is released, prints all the time, and does not listen to a request to end.
const DEAF: &str =
    "go=; trap 'go=1' USR1; trap true TERM; until [ $go ]; do echo x; sleep 0.05; done";

/// Stops the coordinator while this request of a launch hangs; the next start launches the job.
async fn a_stop_while_a_launch_hangs_at(path_part: &'static str) {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let engine = EngineProxy::start();
    engine.down_at(Moment::Never, "POST", path_part);
    scene.home.set("DOCKER_HOST", &engine.host());
    let job = scene.add_job().await;
    let first = scene.home.start();
    engine.trap_sprung().await;
    let begun = Instant::now();
    first.terminate().await;
    assert!(begun.elapsed() < STOP_LIMIT, "{:?}", begun.elapsed());
    assert_eq!(scene.app.job(job.job_id).await.status, "running");

    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    second.terminate().await;
}

#[tokio::test]
async fn a_stop_with_a_container_being_created_takes_no_two_seconds() {
    a_stop_while_a_launch_hangs_at("/containers/create").await;
}

#[tokio::test]
async fn a_stop_with_an_input_being_attached_takes_no_two_seconds() {
    a_stop_while_a_launch_hangs_at("/attach").await;
}

#[tokio::test]
async fn a_stop_with_a_container_being_started_takes_no_two_seconds() {
    a_stop_while_a_launch_hangs_at("/start").await;
}

#[tokio::test]
async fn a_third_request_ends_a_drain_at_once_and_its_agent_goes_on() {
    let Some(mut scene) = Scene::or_skip(DEAF).await else { return };
    let proxy = scene.through_proxy().await;
    scene.home.set("ON_STOP", "drain").set("STOP_GRACE", "60s");
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("agent started").await;
    first.signal(Signal::SIGTERM);
    first.wait_for_log("still run").await;
    first.signal(Signal::SIGINT);
    first.wait_for_log("stopping the agent").await;
    let begun = Instant::now();
    first.signal(Signal::SIGTERM);
    assert_eq!(first.wait().await.code(), Some(1));
    assert!(begun.elapsed() < STOP_LIMIT, "{:?}", begun.elapsed());
    assert!(scene.engine.runs(job.job_id).await);

    let mut second = scene.home.start();
    second.wait_for_log("job adopted").await;
    scene.engine.release(job.job_id).await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    assert_eq!(proxy.reported(1).await, [format!("{}/complete", job.job_id)]);
    second.terminate().await;
}

#[tokio::test]
async fn a_stop_kills_an_agent_that_does_not_listen_and_reports_it() {
    let Some(mut scene) = Scene::or_skip(DEAF).await else { return };
    scene.home.set("ON_STOP", "stop").set("STOP_GRACE", "0.5");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("agent started").await;
    coordinator.signal(Signal::SIGINT);
    assert!(coordinator.wait().await.success());
    let ended = scene.app.job(job.job_id).await;
    assert_eq!(ended.status, "failed");
    assert!(ended.fail_reason.unwrap_or_default().contains("was stopped"));
    assert_eq!((scene.containers().await, scene.home.records().len()), (0, 0));
}

#[tokio::test]
async fn the_drain_command_returns_when_the_last_job_has_ended_and_holds_for_one_life() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let waiting = scene.add_job().await;
    let release = async {
        first.wait_for_log("draining").await;
        scene.engine.release(job.job_id).await;
    };
    let ((code, told), ()) = tokio::join!(scene.home.command(&["drain"]), release);
    assert_eq!(code, Some(0), "{told}");
    assert!(first.wait().await.success());
    assert_eq!(scene.app.job(job.job_id).await.status, "completed");
    assert_eq!(scene.app.job(waiting.job_id).await.status, "pending");

    let second = scene.home.start();
    scene.engine.pausing(waiting.job_id).await;
    scene.engine.release(waiting.job_id).await;
    assert_eq!(scene.app.ended(waiting.job_id).await.status, "completed");
    second.terminate().await;
}

#[tokio::test]
async fn a_command_exits_3_where_no_coordinator_ever_ran_and_where_one_was_killed() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    for killed in [false, true] {
        if killed {
            let mut coordinator = scene.home.start();
            coordinator.wait_for_log("ready").await;
            coordinator.kill().await;
            assert!(scene.home.state_dir().join("control.sock").exists());
        }
        for command in ["status", "pause", "resume", "drain"] {
            let (code, text) = scene.home.command(&[command]).await;
            assert_eq!(code, Some(3), "{command}: {text}");
        }
    }
}

#[tokio::test]
async fn what_belongs_to_no_job_is_shown_first_and_removed_when_that_is_asked_for() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("ORPHAN_GRACE", "0");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let id = scene.home.id().unwrap();
    let lost = scene.engine.lose_objects(&id).await;

    for (arguments, removed) in [(["gc", "--dry-run"].as_slice(), false), (&["gc"], true)] {
        let (code, text) = scene.home.command(arguments).await;
        assert_eq!(code, Some(0), "{text}");
        assert!(lost.iter().all(|object| text.contains(object)), "{text}");
        assert!(!text.contains(&job.job_id.to_string()), "{text}");
        let left = (scene.containers().await, scene.engine.volumes(&id).await.len());
        assert_eq!(left, if removed { (1, 0) } else { (2, 1) });
    }
    scene.engine.release(job.job_id).await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn what_was_lost_lately_is_spared_while_a_coordinator_runs_and_removed_while_none_does() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    let id = scene.home.id().unwrap();
    scene.engine.lose_objects(&id).await;
    assert_eq!(scene.home.command(&["gc"]).await.0, Some(0));
    assert_eq!((scene.containers().await, scene.engine.volumes(&id).await.len()), (1, 1));
    coordinator.terminate().await;

    let (code, text) = scene.home.command(&["gc"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((scene.containers().await, scene.engine.volumes(&id).await.len()), (0, 0));
}

#[tokio::test]
async fn a_hangup_takes_up_a_changed_file_and_names_what_has_to_wait_for_a_restart() {
    let Some(mut scene) = Scene::or_skip(DEAF).await else { return };
    let other = scene.app.add_project("http://forge.example/acme/other").await;
    let file = scene.home.dir().join("coordinator.toml");
    let write = |project, timeout: &str, level: &str, open: &str| {
        let text = format!(
            "[schedule]\nprojects = [\"{project}\"]\n[limits]\njob_timeout = \"{timeout}\"\n\
             [log]\nlevel = \"{level}\"\n[breaker]\nopen = \"{open}\"\n"
        );
        fs::write(&file, text).unwrap();
    };
    scene.home.unset("LOG_LEVEL").unset("BREAKER_OPEN").set("STOP_GRACE", "0.2");
    write(other, "1h", "warn", "60s");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start_with(&["--config", file.to_str().unwrap()]);
    eventually("its control socket", async || {
        (scene.home.command(&["status"]).await.0 == Some(0)).then_some(())
    })
    .await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");

    write(scene.project, "1s", "debug", "5s");
    coordinator.signal(Signal::SIGHUP);
    coordinator.wait_for_log("BREAKER_OPEN was changed: it takes effect at a restart").await;
    coordinator.wait_for_log("settings taken up: PROJECT_IDS, JOB_TIMEOUT, LOG_LEVEL").await;
    let ended = scene.app.ended(job.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("after 1 s (JOB_TIMEOUT)"));

    fs::write(&file, "[limits]\njob_timeout = \"soon\"\n").unwrap();
    coordinator.signal(Signal::SIGHUP);
    coordinator.wait_for_log("settings not changed").await;
    let next = scene.add_job().await;
    let ended = scene.app.ended(next.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("after 1 s (JOB_TIMEOUT)"));
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_stop_while_the_key_is_refused_keeps_the_outcome_for_the_next_start() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = scene.through_proxy().await;
    proxy.refuse("/complete", 403, 1);
    scene.home.set("ON_STOP", "drain").set("DRAIN_TIMEOUT", "1s");
    scene.home.set("TERARCHITECT_WORKER_API_KEY", KEY);
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("outcome not delivered").await;
    first.signal(Signal::SIGTERM);
    assert!(first.wait().await.success());
    assert_eq!(scene.app.job(job.job_id).await.status, "running");

    let second = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    assert_eq!(proxy.reported(1).await, [format!("{}/complete", job.job_id)]);
    second.terminate().await;
}
