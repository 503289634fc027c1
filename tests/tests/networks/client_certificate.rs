//! An app that wants to see a certificate of its callers.

use integration_tests::harness::{
    AGENT_IMAGE, CertificateAuthority, ClientFiles, Deployment, DockerMode, Engine, GO_IN_IMAGE,
    Keys, TlsFront, build_agent_image, eventually,
};

use crate::scene::line_of;

/// A system whose app wants a certificate, and somebody who has one.
struct Guarded {
    system: Deployment,
    client: ClientFiles,
    _front: TlsFront,
}

async fn guarded() -> Option<Guarded> {
    let engine = Engine::or_skip().await?;
    build_agent_image(&engine).await;
    let keys = ["ghp_the-token", "key-of-the-app", "sk-the-key-of-the-model"].map(str::to_owned);
    let [forge, worker_api, model] = keys;
    let keys = Keys { forge, worker_api, model };
    let files = [("README", "hello\n")];
    let mut system = Deployment::start(&engine, AGENT_IMAGE, DockerMode::None, &keys, &files).await;
    let (servers, clients) =
        (CertificateAuthority::new("Servers"), CertificateAuthority::new("Clients"));
    let address = engine.host_address().await;
    let front = TlsFront::start(address, system.app.port(), &servers, Some(&clients)).await;
    let client = clients.client_files(system.home.dir());
    let bundle = system.home.dir().join("servers.pem");
    std::fs::write(&bundle, servers.pem()).unwrap();
    let model = system.llm.url();
    for (name, value) in [
        ("TERARCHITECT_API_URL", front.url().as_str()),
        ("EXTRA_CA_FILE", bundle.to_str().unwrap()),
        ("WORKER_MODE", "claude-code"),
        ("DOCKER_NETWORK", "bridge"),
        ("WORKER_LLM_URL", model.as_str()),
    ] {
        system.home.set(name, value);
    }
    Some(Guarded { system, client, _front: front })
}

#[tokio::test]
async fn coordinator_and_agent_show_the_certificate_and_nobody_sees_the_key() {
    let Some(Guarded { mut system, client, _front }) = guarded().await else { return };
    let [certificate, key] = [&client.certificate, &client.key].map(|path| path.to_str().unwrap());
    system.home.set("APP_CLIENT_CERT_FILE", certificate).set("APP_CLIENT_KEY_FILE", key);
    let job = system.add_job("test").await;
    let coordinator = system.coordinator("");
    let shown = eventually("the agent's container", async || {
        Some(format!("{:?}", system.engine.inspect(job.job_id).await?))
    })
    .await;
    eventually("the agent at work", async || {
        system.engine.output(job.job_id).await.contains("worker").then_some(())
    })
    .await;
    system.engine.exec(job.job_id, "0", &["touch", GO_IN_IMAGE]).await;
    let ended = system.app.ended(job.job_id).await;
    let log = system.home.job_log(job.job_id);
    assert_eq!(ended.status, "completed", "{log}");
    assert!(!shown.contains(&client.secret) && !log.contains(&client.secret));
    assert!(!coordinator.log().contains(&client.secret));
    coordinator.terminate().await;
}

#[tokio::test]
async fn without_the_certificate_the_app_refuses_and_the_setting_is_named() {
    let Some(Guarded { mut system, client, _front }) = guarded().await else { return };
    line_of(system.home.start(), "the server wants a client certificate").await;

    let other = CertificateAuthority::new("Somebody else").client_files(&system.keys_dir());
    let [certificate, key] = [&other.certificate, &other.key].map(|path| path.to_str().unwrap());
    system.home.set("APP_CLIENT_CERT_FILE", certificate).set("APP_CLIENT_KEY_FILE", key);
    line_of(system.home.start(), "the server wants a client certificate").await;

    system.home.set("APP_CLIENT_KEY_FILE", client.key.to_str().unwrap());
    let (code, said) = system.home.command(&["config"]).await;
    assert!(said.contains("does not belong to the client certificate"), "{code:?}: {said}");
}
