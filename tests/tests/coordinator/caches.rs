//! What outlives a job: caches of projects, which no clean-up takes for leftovers.

use api_client::{JobId, ProjectId};
use integration_tests::harness::Job;
use uuid::Uuid;

use crate::scene::Scene;

/// What a job leaves in its cache, and tells of what it found there.
const MARK: &str = "if [ -e /cache/mark ]; then echo found; else echo new; fi; touch /cache/mark";

const MIB: &str = "head -c 1500000 /dev/urandom >/cache/large";

/// A name that no other test has.
fn cache_name() -> String {
    format!("terarchitect-test-cache-{}", Uuid::new_v4().simple())
}

/// What a job printed, once it is done.
async fn printed(scene: &Scene, job: &Job) -> String {
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    scene.home.job_log(job.job_id)
}

async fn volumes(scene: &Scene) -> Vec<String> {
    let mut volumes = scene.engine.volumes(&scene.home.id().unwrap()).await;
    volumes.sort_unstable();
    volumes
}

/// The volume that a job's container has at a path: its name.
async fn volume_at(scene: &Scene, job: JobId, path: &str) -> String {
    let mounts = scene.engine.inspect(job).await.unwrap().mounts.unwrap_or_default();
    let mount = mounts.into_iter().find(|mount| mount.destination.as_deref() == Some(path));
    mount.and_then(|mount| mount.name).unwrap_or_default()
}

#[tokio::test]
async fn a_project_finds_its_own_cache_again_and_never_that_of_another() {
    let Some(mut scene) = Scene::or_skip(MARK).await else { return };
    let name = cache_name();
    scene.home.set("AGENT_CACHE_VOLUME", &name).set("ORPHAN_GRACE", "0");
    let other: ProjectId = scene.app.add_project("http://forge.example/acme/other").await;
    let coordinator = scene.home.start();
    for (project, expected) in [(scene.project, "new"), (other, "new"), (scene.project, "found")] {
        let job = scene.app.add_job(project).await;
        let said = printed(&scene, &job).await;
        assert!(said.ends_with(&format!("{expected}\n")), "{project}: {said}");
    }
    // What is kept is no leftover, however often it is cleaned up.
    let (code, swept) = scene.home.command(&["gc"]).await;
    assert_eq!(code, Some(0), "{swept}");
    let mut kept = [format!("{name}-{}", scene.project), format!("{name}-{other}")];
    kept.sort_unstable();
    assert_eq!(volumes(&scene).await, kept);
    coordinator.terminate().await;
    scene.home.command(&["gc"]).await;
    assert_eq!(volumes(&scene).await, kept);
}

#[tokio::test]
async fn a_shared_cache_is_shared() {
    let Some(mut scene) = Scene::or_skip(MARK).await else { return };
    scene.home.set("AGENT_CACHE_VOLUME", &cache_name()).set("AGENT_CACHE_SCOPE", "shared");
    let other = scene.app.add_project("http://forge.example/acme/other").await;
    let coordinator = scene.home.start();
    for (project, expected) in [(scene.project, "new"), (other, "found")] {
        let job = scene.app.add_job(project).await;
        assert!(printed(&scene, &job).await.ends_with(&format!("{expected}\n")));
    }
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_cache_beyond_its_bound_goes_once_no_job_has_it() {
    let Some(mut scene) = Scene::or_skip(&format!("{MIB}; pause")).await else { return };
    scene.home.set("AGENT_CACHE_VOLUME", &cache_name()).set("CACHE_KEEP_MIB", "1");
    let small = scene.app.add_project("http://forge.example/acme/small").await;
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let (code, swept) = scene.home.command(&["gc"]).await;
    assert_eq!((code, swept.contains("failed")), (Some(0), false), "{swept}");
    assert_eq!(volumes(&scene).await.len(), 1);
    scene.engine.release(job.job_id).await;
    printed(&scene, &job).await;
    scene.app.set_script(MARK).await;
    let job = scene.app.add_job(small).await;
    printed(&scene, &job).await;
    coordinator.terminate().await;

    let (_, swept) = scene.home.command(&["gc"]).await;
    assert!(swept.contains("removed"), "{swept}");
    let left = volumes(&scene).await;
    assert!(left.len() == 1 && left[0].ends_with(&small.to_string()), "{left:?}");
}

#[tokio::test]
async fn kept_images_of_inner_docker_are_one_jobs_at_a_time_across_restarts() {
    const INNER: &str = "/var/lib/docker";
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let name = cache_name();
    scene.home.set("AGENT_CACHE_VOLUME", &name).set("AGENT_CACHE_DOCKER", "1");
    scene.home.set("AGENT_DOCKER_MODE", "dind-caps").set("MAX_CONCURRENT_AGENTS", "3");
    let kept = format!("{name}-{}-docker", scene.project);
    // Both are created at the same time.
    let jobs = scene.app.add_jobs(scene.project, 2).await;
    let first = scene.home.start();
    let mut at = Vec::new();
    for job in &jobs {
        scene.engine.pausing(job.job_id).await;
        at.push(volume_at(&scene, job.job_id, INNER).await);
    }
    assert!(at.iter().filter(|volume| **volume == kept).count() <= 1, "{at:?}");
    assert!(at.iter().all(|volume| !volume.is_empty()), "{at:?}");
    for job in &jobs {
        scene.engine.release(job.job_id).await;
        printed(&scene, job).await;
    }

    // One that runs has it, and goes on having it while the coordinator is away.
    let holder = scene.add_job().await;
    scene.engine.pausing(holder.job_id).await;
    assert_eq!(volume_at(&scene, holder.job_id, INNER).await, kept);
    first.kill().await;
    let second = scene.home.start();
    let late = scene.add_job().await;
    scene.engine.pausing(late.job_id).await;
    let own = volume_at(&scene, late.job_id, INNER).await;
    assert!(own != kept && !own.is_empty(), "{own}");
    for job in [&holder, &late] {
        scene.engine.release(job.job_id).await;
        printed(&scene, job).await;
    }
    let next = scene.add_job().await;
    scene.engine.pausing(next.job_id).await;
    assert_eq!(volume_at(&scene, next.job_id, INNER).await, kept);
    scene.engine.release(next.job_id).await;
    printed(&scene, &next).await;
    second.terminate().await;
}
