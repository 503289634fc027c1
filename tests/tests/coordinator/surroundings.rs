//! What is made for an agent's container: its network, and the gateway beside it.

use bollard::models::{ContainerCreateBody, NetworkConnectRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use integration_tests::harness::{Engine, Home, STUB_IMAGE, eventually};

use crate::scene::Scene;

/// Tells what it was told of its gateway, then waits.
const TELLING: &str = "echo proxy $(field HTTPS_PROXY) model $(field WORKER_LLM_URL)
    echo document $document; pause";

/// Nothing of a coordinator is left on the engine.
async fn nothing_left(engine: &Engine, home: &Home) {
    let id = home.id().unwrap();
    eventually("nothing to be left", async || {
        let (containers, networks) = (engine.containers(&id).await, engine.networks(&id).await);
        (containers.is_empty() && networks.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_job_has_a_network_of_its_own_that_goes_with_it() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("MAX_CONCURRENT_AGENTS", "2");
    let jobs = [scene.add_job().await.job_id, scene.add_job().await.job_id];
    let coordinator = scene.home.start();
    for job in jobs {
        scene.engine.pausing(job).await;
    }
    let mut networks = Vec::new();
    for job in jobs {
        let settings = scene.engine.inspect(job).await.unwrap().network_settings.unwrap();
        networks.extend(settings.networks.unwrap().into_values().map(|one| one.network_id));
        scene.engine.release(job).await;
    }
    assert_eq!(networks.len(), 2);
    assert_ne!(networks[0], networks[1]);
    for job in jobs {
        assert_eq!(scene.app.ended(job).await.status, "completed");
    }
    nothing_left(&scene.engine, &scene.home).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_guarded_agent_has_no_way_out_but_its_gateway_which_outlives_the_coordinator() {
    let Some(mut scene) = Scene::or_skip(TELLING).await else { return };
    scene.home.set("AGENT_EGRESS", "none").set("AGENT_MODEL_GATEWAY", "outside");
    scene.home.set("WORKER_LLM_URL", "http://llm.example/v1").set("WORKER_API_KEY", "sk-real-key");
    let job = scene.add_job().await.job_id;
    let first = scene.home.start();
    scene.engine.pausing(job).await;
    let agent = scene.engine.inspect(job).await.unwrap();
    let servers = agent.host_config.unwrap().dns.unwrap();
    let [gateway] = servers.as_slice() else { panic!("{servers:?}") };
    let told = scene.engine.output(job).await;
    let expected = format!("proxy http://{gateway}:3128 model http://{gateway}:8088/v1");
    assert!(told.contains(&expected), "{told}");
    let has_document = told.contains("WORKER_API_KEY") && !told.contains("sk-real-key");
    assert!(has_document, "{told}");
    let beside = scene.engine.inspect_gateway(job).await.unwrap();
    assert!(!format!("{beside:?}").contains("sk-real-key"), "{beside:?}");
    // On two networks, and no router between them.
    let sysctls = beside.host_config.unwrap().sysctls.unwrap();
    assert_eq!(sysctls["net.ipv4.ip_forward"], "0");
    first.kill().await;

    let second = scene.home.start();
    assert_eq!(scene.containers().await, 2);
    scene.engine.release(job).await;
    assert_eq!(scene.app.ended(job).await.status, "completed");
    nothing_left(&scene.engine, &scene.home).await;
    // What the gateway said is in the job's log.
    assert!(scene.home.job_log(job).contains("gateway ready"));
    second.terminate().await;
}

#[tokio::test]
async fn a_job_whose_gateway_ends_is_stopped_for_just_that_reason() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("AGENT_EGRESS", "none").set("STOP_GRACE", "1");
    let job = scene.add_job().await.job_id;
    let coordinator = scene.home.start();
    scene.engine.pausing(job).await;
    let gateway = format!("terarchitect-gateway-{job}");
    scene.engine.docker().kill_container(&gateway, None).await.unwrap();

    let ended = scene.app.ended(job).await;
    assert_eq!(ended.status, "failed");
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("the gateway beside its container had ended"), "{reason}");
    assert!(scene.home.host_runs().is_empty());
    nothing_left(&scene.engine, &scene.home).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_guarded_job_never_falls_back_to_the_host() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    // An image that has no gateway.
    scene.home.set("AGENT_EGRESS", "allowlist").set("AGENT_IMAGE", "debian:bookworm-slim");
    let job = scene.add_job().await.job_id;
    let coordinator = scene.home.start();
    let ended = scene.app.ended(job).await;
    assert_eq!(ended.status, "failed");
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("gateway"), "{reason}");
    assert!(scene.home.host_runs().is_empty());
    nothing_left(&scene.engine, &scene.home).await;
    coordinator.terminate().await;
}

/// A container of nobody's, created and never started.
async fn foreign(engine: &Engine, name: Option<&str>) -> String {
    let body = ContainerCreateBody { image: Some(STUB_IMAGE.to_owned()), ..Default::default() };
    let options = name.map(|name| CreateContainerOptionsBuilder::default().name(name).build());
    engine.docker().create_container(options, body).await.unwrap().id
}

async fn remove(engine: &Engine, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    engine.docker().remove_container(id, Some(options)).await.unwrap();
}

#[tokio::test]
async fn what_somebody_else_put_on_a_jobs_network_does_not_keep_it() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let job = scene.add_job().await.job_id;
    let coordinator = scene.home.start();
    scene.engine.pausing(job).await;
    let other = foreign(&scene.engine, None).await;
    let docker = scene.engine.docker();
    let [network] = scene.engine.networks(&scene.home.id().unwrap()).await.try_into().unwrap();
    let request = NetworkConnectRequest { container: other.clone(), ..Default::default() };
    docker.connect_network(&network, request).await.unwrap();
    docker.start_container(&other, None).await.unwrap();
    scene.engine.release(job).await;
    assert_eq!(scene.app.ended(job).await.status, "completed");
    nothing_left(&scene.engine, &scene.home).await;
    remove(&scene.engine, &other).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_gateway_that_another_claim_left_is_in_nobodys_way() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("AGENT_EGRESS", "none");
    let job = scene.add_job().await.job_id;
    foreign(&scene.engine, Some(&format!("terarchitect-gateway-{job}"))).await;
    let coordinator = scene.home.start();
    assert_eq!(scene.app.ended(job).await.status, "completed");
    nothing_left(&scene.engine, &scene.home).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_engine_that_refuses_every_container_does_not_get_the_whole_queue() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("AGENT_EGRESS", "allowlist").set("AGENT_IMAGE", "debian:bookworm-slim");
    scene.home.set("BREAKER_FAILURES", "2").set("MAX_CONCURRENT_AGENTS", "1");
    for _ in 0..4 {
        scene.add_job().await;
    }
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("nothing is claimed: the start of containers failed").await;
    scene.app.reached("failed", 2).await;
    assert_eq!(scene.app.counts().await["pending"], 2);
    coordinator.terminate().await;
}
