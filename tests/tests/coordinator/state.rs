//! What the run of a ticket leaves that is killed: the next one of that ticket finds it, nobody else does, and it goes
//! after its time.

use api_client::JobId;
use integration_tests::harness::{EngineProxy, Job, Moment, eventually};
use serde_json::{Value, json};

use crate::outcome::leaving;
use crate::scene::Scene;

/// Tells what it finds, leaves a mark, and goes on until it is killed.
const MARK: &str = "echo found: $(cat $AGENT_STATE_DIR/mark 2>/dev/null); \
    stat -c 'owner: %U' $AGENT_STATE_DIR; echo $(field JOB_ID) >$AGENT_STATE_DIR/mark; pause";

async fn states(scene: &Scene) -> Vec<String> {
    scene.engine.states(&scene.home.id().unwrap()).await
}

/// Those that housekeeping leaves.
async fn states_left(scene: &mut Scene) -> Vec<String> {
    let (code, swept) = scene.home.command(&["gc"]).await;
    assert_eq!(code, Some(0), "{swept}");
    states(scene).await
}

/// The job that the coordinator has the app queue for the same ticket.
async fn retried(scene: &mut Scene, job: JobId) -> Job {
    let id = job.to_string();
    // It may have to be put away first.
    let told = eventually("another job", async || {
        let (code, text) = scene.home.command(&["retry", "--json", &id]).await;
        (code == Some(0)).then_some(text)
    });
    let told: Value = serde_json::from_str(&told.await).unwrap();
    scene.app.job(told["job"].as_str().unwrap().parse().unwrap()).await
}

/// Its agent is killed, and the app knows.
async fn killed(scene: &Scene, job: &Job) {
    scene.engine.pausing(job.job_id).await;
    scene.engine.signal(job.job_id, "SIGKILL").await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "failed");
}

#[tokio::test]
async fn what_a_killed_run_left_is_found_by_the_next_one_of_its_ticket_alone() {
    let Some(mut scene) = Scene::or_skip(MARK).await else { return };
    scene.home.set("AGENT_READ_ONLY", "1");
    let coordinator = scene.home.start();
    let first = scene.add_job().await;
    killed(&scene, &first).await;
    let other = scene.add_job().await;
    killed(&scene, &other).await;
    let again = retried(&mut scene, first.job_id).await;
    killed(&scene, &again).await;
    let log = |job: &Job| scene.home.job_log(job.job_id);
    assert!(log(&first).contains("found:\n"), "{}", log(&first));
    assert!(log(&other).contains("found:\n"), "{}", log(&other));
    let found = log(&again);
    assert!(found.contains(&format!("found: {}\n", first.job_id)), "{found}");
    assert!(found.contains("owner: root"), "{found}");
    assert_eq!(states(&scene).await.len(), 2, "one for each ticket");
    coordinator.terminate().await;
}

/// An agent that fails, and says whether it leaves anything for the next one.
fn leaves(state_kept: bool) -> String {
    let document = json!({
        "version": 1, "verdict": "failed", "cause": "worker_failed", "summary": "no",
        "runner_version": "0.1.0", "state_kept": state_kept,
    });
    format!("{}; exit 4", leaving(&document.to_string()))
}

/// Its agent has ended, and nothing of it is left to be done.
async fn put_away(scene: &Scene, job: &Job) {
    scene.app.ended(job.job_id).await;
    let record = scene.home.state_dir().join("jobs").join(format!("{}.json", job.job_id));
    eventually("its record to go", async || (!record.exists()).then_some(())).await;
}

#[tokio::test]
async fn the_volume_of_a_ticket_goes_once_its_last_job_left_nothing_in_it() {
    let Some(mut scene) = Scene::or_skip(&leaves(true)).await else { return };
    let coordinator = scene.home.start();
    let something = scene.add_job().await;
    put_away(&scene, &something).await;
    scene.app.set_script("exit 4").await;
    let silent = scene.add_job().await;
    put_away(&scene, &silent).await;
    scene.app.set_script(&leaves(false)).await;
    let nothing = scene.add_job().await;
    put_away(&scene, &nothing).await;
    assert_eq!(states_left(&mut scene).await.len(), 2, "something is left, or nobody can tell");
    let gone = format!("terarchitect-state-{}", nothing.ticket_id);
    assert!(!states(&scene).await.iter().any(|name| name.starts_with(&gone)));
    retried(&mut scene, something.job_id).await;
    eventually("no volume of that ticket", async || {
        (states_left(&mut scene).await.len() == 1).then_some(())
    })
    .await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_engine_that_makes_no_such_volume_has_the_job_done_without() {
    let script = "echo dir: ${AGENT_STATE_DIR:-none}";
    let Some(mut scene) = Scene::or_skip(script).await else { return };
    let proxy = EngineProxy::start();
    proxy.down_at(Moment::Unknown, "POST", "/volumes/create");
    scene.home.set("DOCKER_HOST", &proxy.host());
    let mut coordinator = scene.home.start();
    let job = scene.add_job().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    assert!(scene.home.job_log(job.job_id).contains("dir: none"));
    coordinator.wait_for_log("a run that is killed could not be gone on with").await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn what_was_left_goes_after_its_time_and_nothing_is_left_where_none_is_to_be_kept() {
    let Some(mut scene) = Scene::or_skip(MARK).await else { return };
    scene.home.set("ORPHAN_GRACE", "0");
    let coordinator = scene.home.start();
    let first = scene.add_job().await;
    killed(&scene, &first).await;
    put_away(&scene, &first).await;
    let (code, swept) = scene.home.command(&["gc"]).await;
    assert_eq!((code, states(&scene).await.len()), (Some(0), 1), "it has time: {swept}");
    coordinator.terminate().await;
    scene.home.set("STATE_KEEP_AGE", "0");
    eventually("no state", async || {
        let (code, swept) = scene.home.command(&["gc"]).await;
        assert_eq!(code, Some(0), "{swept}");
        states(&scene).await.is_empty().then_some(())
    })
    .await;
    scene.app.set_script("echo dir: ${AGENT_STATE_DIR:-none}").await;
    let coordinator = scene.home.start();
    let again = scene.add_job().await;
    scene.app.ended(again.job_id).await;
    assert!(scene.home.job_log(again.job_id).contains("dir: none"));
    coordinator.terminate().await;
}
