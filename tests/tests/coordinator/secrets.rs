//! Where secrets must not be.

use integration_tests::harness::{AppProxy, ArgvWatch, EngineProxy, Home, KEY};

use crate::scene::Scene;

/// Secrets of the coordinator's environment, and of the app's settings.
const OWN: &str = "ghp-own-secret-6f2ab1c4";
const OF_APP: &str = "sk-of-the-app-91c7d0e2";
/// Of OF_APP.
const OF_APP_BASE64: &str = "c2stb2YtdGhlLWFwcC05MWM3ZDBlMg==";

const SECRETS: [&str; 4] = [OWN, OF_APP, OF_APP_BASE64, KEY];

/// Tells everything that it knows, once on each side of the pause.
const TELL_ALL: &str = "echo $document; echo it is $(field AGENT_API_KEY); \
    field AGENT_API_KEY | tr -d [:space:] | base64; pause; echo $document; exit 4";

fn secrets_in(text: &[u8]) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(text);
    SECRETS.into_iter().filter(|secret| text.contains(secret)).collect()
}

fn assert_files_hold_no_secret(home: &Home) {
    for (path, content) in home.files() {
        assert_eq!(secrets_in(&content), [""; 0], "{}", path.display());
    }
}

async fn assert_ticket_log_holds_no_secret(scene: &Scene, job: &integration_tests::harness::Job) {
    let log = scene.app.ticket_log(job).await;
    assert!(!log.is_empty());
    assert_eq!(secrets_in(format!("{log:?}").as_bytes()), [""; 0]);
}

#[tokio::test]
async fn secrets_are_nowhere_but_with_the_agent() {
    let Some(mut scene) = Scene::or_skip(TELL_ALL).await else { return };
    let watch = ArgvWatch::start(&SECRETS);
    let (engine, proxy) = (EngineProxy::start(), AppProxy::start(&scene.app.url()).await);
    scene.app.set("AGENT_API_KEY", OF_APP).await;
    scene.home = Home::new(&proxy.url());
    scene.home.set("DOCKER_HOST", &engine.host()).set("GITHUB_TOKEN", OWN);
    scene.home.set("LOG_LEVEL", "trace");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    // While the job runs: the engine knows nothing, and neither does the disk.
    scene.engine.pausing(job.job_id).await;
    let output = scene.engine.output(job.job_id).await;
    assert_eq!(secrets_in(output.as_bytes()), SECRETS, "the agent itself has them all");
    let known = scene.engine.inspect(job.job_id).await.unwrap();
    assert_eq!(secrets_in(serde_json::to_string(&known).unwrap().as_bytes()), [""; 0]);
    for request in engine.requests() {
        assert_eq!(secrets_in(format!("{request:?}").as_bytes()), [""; 0]);
        assert_eq!(secrets_in(&request.body), [""; 0], "{}", request.path);
    }
    assert_files_hold_no_secret(&scene.home);

    // And when it has failed, and its output is on the ticket.
    scene.engine.release(job.job_id).await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "failed");
    assert!(scene.home.job_log(job.job_id).contains("it is [redacted]"));
    assert_files_hold_no_secret(&scene.home);
    assert_ticket_log_holds_no_secret(&scene, &job).await;
    for exchange in proxy.exchanges("/fail") {
        assert_eq!(secrets_in(&exchange.request), [""; 0]);
    }
    coordinator.terminate().await;
    assert_files_hold_no_secret(&scene.home);
    assert_eq!(watch.found().into_iter().collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test]
async fn secrets_of_an_adopted_job_are_hidden_as_well() {
    let Some(mut scene) = Scene::or_skip(TELL_ALL).await else { return };
    let proxy = scene.through_proxy().await;
    scene.app.set("AGENT_API_KEY", OF_APP).await;
    scene.home.set("GITHUB_TOKEN", OWN);
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    first.kill().await;

    // As a proxy answers while the app behind it is away: that does not tell that the ticket is gone.
    proxy.refuse("/worker-context", 404, 2);
    let second = scene.home.start();
    scene.engine.release(job.job_id).await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "failed");
    assert_files_hold_no_secret(&scene.home);
    assert_ticket_log_holds_no_secret(&scene, &job).await;
    second.terminate().await;
}

#[tokio::test]
async fn secrets_of_a_run_on_the_host_are_nowhere_either() {
    let script = TELL_ALL.replace("pause; ", "");
    let Some(mut scene) = Scene::or_skip(&script).await else { return };
    let watch = ArgvWatch::start(&SECRETS);
    scene.app.set("AGENT_API_KEY", OF_APP).await;
    scene.home.set("HOST_FALLBACK", "always").set("GITHUB_TOKEN", OWN);
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    assert_eq!(scene.app.ended(job.job_id).await.status, "failed");
    assert_eq!(scene.home.host_runs().len(), 1);
    coordinator.terminate().await;
    assert_files_hold_no_secret(&scene.home);
    assert_ticket_log_holds_no_secret(&scene, &job).await;
    // The stub's own `echo` is no process; its `tr` and `base64` read the secret from a pipe.
    assert_eq!(watch.found().into_iter().collect::<Vec<_>>(), [""; 0]);
}
