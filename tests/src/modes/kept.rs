//! Images of inner engines that are kept for the project's next job.

use std::slice;

use super::host_state::{HostState, Scope};
use super::stage::{After, Stage, assert_told};
use crate::harness::{DockerMode, Engine};

pub(super) async fn show(engine: &Engine, mode: DockerMode, scope: Scope) -> Vec<String> {
    let before = HostState::now(engine).await;
    let mut stage = Stage::set(engine, mode, ("127.0.0.1", 8080), After::Leave).await;
    stage.deployment.home.set("AGENT_CACHE_DOCKER", "1");
    let coordinator = stage.coordinator();
    let mut marks = Vec::new();
    for images in [0, 1] {
        let job = stage.deployment.add_job("kept").await;
        stage.held(&job).await;
        marks.extend(stage.marks(slice::from_ref(&job)).await);
        stage.release(&job).await;
        let report = stage.report(&job).await;
        assert_told(&report, &format!("before: containers 0 volumes 0 images {images}"));
        assert_told(&report, "run ok, answer own");
        stage.deployment.settled().await;
    }
    stage.end(coordinator).await;
    let id = stage.deployment.home.id().expect("it was started");
    let kept = engine.volumes(&id).await;
    let project = stage.deployment.project.to_string();
    assert!(kept.len() == 2 && kept.iter().all(|volume| volume.contains(&project)), "{kept:?}");
    drop(stage);
    HostState::gone_since(engine, &before, scope, &marks).await;
    let facts = [
        "the next job found the image of the one before, and neither its container nor its volume",
        "two volumes of the project were kept, and nothing else was left",
    ];
    facts.map(str::to_owned).to_vec()
}
