//! When a job runs on the host, and when it must not.

use integration_tests::harness::{Absence, EngineProxy, Moment, eventually, program};

use crate::scene::Scene;

/// Prints why it runs on the host, as the job document has it.
const TELL_WHY: &str = "echo why: $(field TERARCHITECT_DOCKER_RUN_ERROR)";

/// The engine goes away between the claim and a step of the start; the job runs on the host.
async fn falls_back_when_the_engine_goes_at(
    moment: Moment,
    method: &'static str,
    path_part: &'static str,
) {
    let Some(mut scene) = Scene::or_skip(TELL_WHY).await else { return };
    let proxy = EngineProxy::start();
    proxy.down_at(moment, method, path_part);
    scene.home.set("DOCKER_HOST", &proxy.host());
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    proxy.trap_sprung().await;
    assert_eq!(scene.home.host_runs().len(), 1);
    let printed = scene.home.job_log(job.job_id);
    assert!(printed.contains("why: the engine could not be reached"), "{printed:?}");
    coordinator.wait_for_log("WITHOUT isolation").await;

    // What was made before the engine went is removed once it is back.
    proxy.up();
    eventually("the record to be forgotten", async || {
        scene.home.records().is_empty().then_some(())
    })
    .await;
    assert_eq!(scene.containers().await, 0);
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_engine_that_goes_between_claim_and_create_leaves_the_job_to_the_host() {
    falls_back_when_the_engine_goes_at(Moment::Before, "POST", "/containers/create").await;
}

#[tokio::test]
async fn an_engine_that_goes_between_create_and_start_leaves_the_job_to_the_host() {
    falls_back_when_the_engine_goes_at(Moment::Before, "POST", "/start").await;
}

#[tokio::test]
async fn a_container_whose_start_was_not_confirmed_never_gets_the_job_document() {
    falls_back_when_the_engine_goes_at(Moment::Answered, "POST", "/start").await;
}

#[tokio::test]
async fn the_ticket_s_log_tells_the_docker_error_of_a_run_on_the_host() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    proxy.down_at(Moment::Before, "POST", "/containers/create");
    let runner = program("agent-runner").display().to_string();
    scene.home.set("DOCKER_HOST", &proxy.host()).set("AGENT_RUNNER_PATH", &runner);
    // The real runner, which gets no further than to a repository that is not there.
    let project = scene.app.add_project("http://127.0.0.1:9/acme/demo").await;
    let job = scene.app.add_job(project).await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    let log = scene.app.ticket_log(&job).await;
    let entry = log.iter().find(|entry| entry.step == "docker_run_fallback");
    let error = entry.and_then(|entry| entry.raw_output.clone()).unwrap_or_default();
    assert!(error.contains("the engine could not be reached"), "{ended:?} {log:?}");
    drop(coordinator);
}

#[tokio::test]
async fn a_job_that_cannot_start_fails_with_the_cause_where_the_host_is_forbidden() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    proxy.down_at(Moment::Before, "POST", "/containers/create");
    scene.home.set("DOCKER_HOST", &proxy.host()).set("HOST_FALLBACK", "never");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("the engine could not be reached to create container"), "{reason}");
    assert!(scene.home.host_runs().is_empty());
    let log = scene.app.ticket_log(&job).await;
    assert!(log.iter().any(|entry| entry.summary.contains("could not be reached")), "{log:?}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_agent_that_fails_in_its_container_is_failed_with_the_end_of_its_output() {
    let script = "seq 1 20000; echo the real error is at the end; exit 4";
    let Some(mut scene) = Scene::or_skip(script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("worker failed") && reason.contains("exit 4"), "{reason}");
    assert!(scene.home.host_runs().is_empty());
    let log = scene.app.ticket_log(&job).await;
    let entry = log.iter().find(|entry| entry.step == "agent_failed").expect("an entry");
    let tail = entry.raw_output.as_deref().unwrap_or_default();
    assert!(tail.ends_with("20000\nthe real error is at the end\n"), "{tail:?}");
    assert!(tail.len() <= 64 << 10, "{}", tail.len());
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_container_that_ends_before_the_runner_began_leaves_the_job_to_the_host() {
    let script = "unstarted contained && echo broken image && exit 127; exit 0";
    let Some(mut scene) = Scene::or_skip(script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    assert_eq!(scene.home.host_runs().len(), 1);
    let log = coordinator.terminate().await;
    assert!(log.contains("exit 127") && log.contains("broken image"), "{log}");
}

#[tokio::test]
async fn a_container_that_ends_well_without_the_runner_is_failed_and_not_repeated() {
    let Some(mut scene) = Scene::or_skip("unstarted exit 0").await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    assert!(scene.home.host_runs().is_empty());
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_runner_that_began_and_crashed_is_never_repeated_on_the_host() {
    let Some(mut scene) = Scene::or_skip("kill -9 $$; exit 139").await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    assert!(scene.home.host_runs().is_empty());
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_engine_that_goes_while_an_agent_runs_does_not_start_it_again() {
    let Some(mut scene) = Scene::or_skip("pause; echo done").await else { return };
    let proxy = EngineProxy::start();
    scene.home.set("DOCKER_HOST", &proxy.host());
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;

    proxy.down(Absence::NoSocket);
    coordinator.wait_for_log("waiting for the engine").await;
    scene.engine.release(job.job_id).await;
    proxy.up();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    assert!(scene.home.host_runs().is_empty());
    let printed = scene.home.job_log(job.job_id);
    assert!(printed.ends_with("started\npausing\ndone\n"), "{printed:?}");
    coordinator.terminate().await;
}
