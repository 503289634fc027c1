//! By IPv6, as far as the engine has it.

use std::net::{Ipv6Addr, SocketAddr};

use integration_tests::harness::{
    AGENT_IMAGE, Deployment, DockerMode, Engine, GO_IN_IMAGE, Keys, build_agent_image, eventually,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Listens on every address of this host, IPv6 and IPv4, for the app on this port.
async fn on_all_addresses(port: u16) -> (u16, AbortOnDropHandle<()>) {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let listener = TcpListener::bind(all).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut app) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                let _broken = copy_bidirectional(&mut client, &mut app).await;
            });
        }
    });
    (own, AbortOnDropHandle::new(task))
}

#[tokio::test]
async fn an_app_at_an_ipv6_literal_is_reached_by_the_coordinator_and_by_an_agent_in_a_container() {
    let Some(engine) = Engine::or_skip().await else { return };
    build_agent_image(&engine).await;
    let keys = ["ghp_the-token", "key-of-the-app", "sk-the-key-of-the-model"].map(str::to_owned);
    let [forge, worker_api, model] = keys;
    let keys = Keys { forge, worker_api, model };
    let files = [("README", "hello\n")];
    let mut system = Deployment::start(&engine, AGENT_IMAGE, DockerMode::None, &keys, &files).await;
    let (port, _relay) = on_all_addresses(system.app.port()).await;
    let model = system.llm.url();
    system.home.set("TERARCHITECT_API_URL", &format!("http://[::1]:{port}"));
    system.home.set("DOCKER_NETWORK", "bridge");
    system.home.set("WORKER_MODE", "claude-code").set("WORKER_LLM_URL", model.as_str());
    let job = system.add_job("test").await;
    let coordinator = system.coordinator("");
    eventually("the agent at work", async || {
        system.engine.output(job.job_id).await.contains("worker").then_some(())
    })
    .await;
    system.engine.exec(job.job_id, "0", &["touch", GO_IN_IMAGE]).await;
    let ended = system.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{}", system.home.job_log(job.job_id));
    coordinator.terminate().await;
}
