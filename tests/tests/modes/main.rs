//! Docker in two of the agent's modes, with the agent's image: the short form of `tests/modes`.

use integration_tests::harness::{DockerMode, Engine, cli_image};
use integration_tests::modes::{Scope, show};

async fn shown(mode: DockerMode) {
    let Some(engine) = Engine::or_skip().await else { return };
    let Some(image) = cli_image(&engine).await else { return };
    show(&engine, image, mode, Scope::Jobs).await;
}

#[tokio::test]
async fn two_jobs_at_once_have_containers_of_one_name_and_port_and_leave_nothing() {
    shown(DockerMode::DindCaps).await;
}

#[tokio::test]
async fn without_docker_a_worker_finds_none() {
    shown(DockerMode::None).await;
}
