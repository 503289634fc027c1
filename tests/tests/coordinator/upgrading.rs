//! Restarts while jobs run, as an upgrade does them: no agent notices.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api_client::JobId;
use integration_tests::harness::{AppProxy, Home, Job, Starts, eventually};
use serde_json::Value;

use crate::scene::Scene;

const RESTARTS: usize = 10;

/// Numbers its lines until it is told to end.
const COUNTING: &str = "go=; trap 'go=1' USR1; i=0; until [ $go ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo the end";

/// Container and process of each job.
async fn processes(scene: &Scene, jobs: &[Job]) -> BTreeMap<JobId, (String, i64)> {
    let mut processes = BTreeMap::new();
    for job in jobs {
        let found = scene.engine.inspect(job.job_id).await.unwrap();
        let state = found.state.unwrap();
        assert_eq!(found.restart_count, Some(0));
        processes.insert(job.job_id, (found.id.unwrap(), state.pid.unwrap()));
    }
    processes
}

/// Whether a log counts from one to its end without a gap or a repeat.
fn assert_whole(log: &str) {
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("agent-runner: started"));
    let mut expected = 1;
    for line in lines {
        if line == "the end" {
            return;
        }
        assert_eq!(line, format!("line {expected}"));
        expected += 1;
    }
    panic!("no end after {expected} lines");
}

#[tokio::test]
async fn ten_restarts_while_four_jobs_run_touch_no_agent_and_lose_no_line() {
    let Some(mut scene) = Scene::or_skip(COUNTING).await else { return };
    let (proxy, starts) = (AppProxy::start(&scene.app.url()).await, Starts::watch(&scene.engine));
    scene.home = Home::new(&proxy.url());
    scene.home.set("MAX_CONCURRENT_AGENTS", "4");
    let jobs = scene.app.add_jobs(scene.project, 4).await;
    let mut coordinator = scene.home.start();
    eventually("four agents", async || {
        for job in &jobs {
            if !scene.engine.runs(job.job_id).await {
                return None;
            }
        }
        (coordinator.log().matches("agent started").count() == 4).then_some(())
    })
    .await;
    let before = processes(&scene, &jobs).await;
    for _ in 0..RESTARTS {
        let begun = Instant::now();
        coordinator.terminate().await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        coordinator = scene.home.start();
        eventually("four adopted jobs", async || {
            (coordinator.log().matches("job adopted").count() == 4).then_some(())
        })
        .await;
    }
    assert_eq!(processes(&scene, &jobs).await, before);
    for job in &jobs {
        scene.engine.release(job.job_id).await;
    }
    scene.app.reached("completed", 4).await;
    assert_eq!(proxy.reported(4).await.len(), 4);
    assert_eq!(starts.count(&scene.home.id().unwrap()), 4);
    for job in &jobs {
        assert_whole(&scene.home.job_log(job.job_id));
    }
    coordinator.terminate().await;
}

#[tokio::test]
async fn twenty_jobs_that_end_while_the_app_is_down_are_all_delivered_once_it_is_back() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("MAX_CONCURRENT_AGENTS", "20");
    let jobs = scene.app.add_jobs(scene.project, 20).await;
    let coordinator = scene.home.start();
    for job in &jobs {
        scene.app.claimed(job.job_id).await;
        scene.engine.pausing(job.job_id).await;
    }
    scene.app.stop().await;
    for job in &jobs {
        scene.engine.release(job.job_id).await;
    }
    eventually("twenty outcomes that wait", async || {
        (coordinator.log().matches("outcome not delivered yet").count() >= 20).then_some(())
    })
    .await;
    scene.app.restart().await;
    scene.app.reached("completed", 20).await;
    eventually("twenty records to be forgotten", async || {
        scene.home.records().is_empty().then_some(())
    })
    .await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_app_that_answers_all_wrong_in_turn_gets_every_outcome_in_the_end() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    scene.home = Home::new(&proxy.url());
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    for (status, path) in
        [(500, "/complete"), (429, "/complete"), (502, "/jobs/start"), (500, "/heartbeat")]
    {
        proxy.refuse(path, status, 1);
        let job = scene.add_job().await;
        let ended = scene.app.ended(job.job_id).await;
        assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1), "{status} {path}");
    }
    // The answer to the report is lost: the next try hears that it was settled.
    proxy.lose("/complete", 1);
    let job = scene.add_job().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.wait_for_log("the app had settled the job before").await;
    eventually("its record to be forgotten", async || {
        scene.home.records().is_empty().then_some(())
    })
    .await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_record_that_was_damaged_between_two_lives_costs_no_outcome() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    scene.home = Home::new(&proxy.url());
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    first.kill().await;
    for record in scene.home.records() {
        std::fs::write(record, "{\"version\":2,\"job\":").unwrap();
    }
    let mut second = scene.home.start();
    second.wait_for_log("unreadable record set aside").await;
    second.wait_for_log("job adopted").await;
    scene.engine.release(job.job_id).await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    assert_eq!(proxy.reported(1).await.len(), 1);
    eventually("its container to be removed", async || {
        (scene.containers().await == 0).then_some(())
    })
    .await;
    second.terminate().await;
}

#[tokio::test]
async fn a_job_whose_record_was_damaged_stays_ours_by_the_labels_of_its_container() {
    let Some(mut scene) = Scene::with_app(&["--lease-sec", "2"], "pause").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let claim = proxy.claims()[0].request.clone();
    let claim: Value = serde_json::from_slice(&claim).unwrap();
    first.kill().await;
    for record in scene.home.records() {
        std::fs::write(record, "no record").unwrap();
    }
    let (second, renewed) = (scene.home.start(), proxy.exchanges("/heartbeat").len());
    eventually("its lease to be kept", async || {
        (proxy.exchanges("/heartbeat").len() >= renewed + 5).then_some(())
    })
    .await;
    scene.engine.release(job.job_id).await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    // The app knows it before the proxy has noted it.
    let report = eventually("its report", async || {
        proxy.exchanges("/jobs/").into_iter().find(|it| it.path.ends_with("/complete"))
    })
    .await;
    let report: Value = serde_json::from_slice(&report.request).unwrap();
    assert_eq!(report["claim_id"], claim["claim_id"]);
    second.terminate().await;
}
