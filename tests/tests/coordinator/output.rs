//! What an agent prints: bounded, readable, whole.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use integration_tests::harness::memory;

use crate::scene::Scene;

/// The most memory that the coordinator may have used, in KiB.
const MEMORY_MAX: u64 = 32 << 10;

/// The most that is kept of one job's output on disk, in bytes: a file and its predecessor.
const KEPT_MAX: u64 = 40 << 20;

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

#[tokio::test]
async fn an_agent_that_prints_300_mb_costs_neither_memory_nor_disk() {
    let script = "yes $(seq -s , 250) | head -c 300000000; echo; echo the end";
    let Some(mut scene) = Scene::or_skip(script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    let peak = memory(coordinator.pid()).peak;
    assert!(peak < MEMORY_MAX, "{peak} KiB");
    let path = scene.home.job_log_path(job.job_id);
    let kept = size(&path) + size(&path.with_extension("log.1"));
    assert!(kept < KEPT_MAX, "{kept} bytes of output are kept");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(scene.home.job_log(job.job_id).ends_with("the end\n"));
    coordinator.terminate().await;
}

#[tokio::test]
async fn output_that_is_no_text_is_kept_as_text_and_fails_nothing() {
    let Some(mut scene) = Scene::or_skip("garbage; echo after").await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    let printed = scene.home.job_log(job.job_id);
    assert!(printed.ends_with("not \u{fffd}\u{fffd} text\nafter\n"), "{printed:?}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn both_streams_and_a_very_long_line_are_kept_whole() {
    let script = "echo to the other stream >&2; yes x | head -n 100000 | tr -d [:space:]; echo";
    let Some(mut scene) = Scene::or_skip(script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    let printed = scene.home.job_log(job.job_id);
    assert!(printed.contains("to the other stream\n"));
    assert_eq!(printed.matches('x').count(), 100_000, "{} bytes", printed.len());
    coordinator.terminate().await;
}
