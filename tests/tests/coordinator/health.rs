//! What whoever watches a coordinator is told, and what systemd's watchdog gets.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration_tests::harness::{Absence, DEADLINE, EngineProxy, Monitor, eventually};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixDatagram, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::scene::Scene;

const ENDED: &str = "terarchitect_jobs_ended_total";
const PHASES: &str = "terarchitect_job_phase_duration_seconds_count";

/// So long is several feeds of a watchdog that wants one within 150 ms.
const SEVERAL_FEEDS: Duration = Duration::from_millis(600);

/// A scene whose coordinator can be asked.
async fn watched(script: &str) -> Option<Scene> {
    let mut scene = Scene::or_skip(script).await?;
    // Networks of jobs are not what is tried here, and engines have few.
    scene.home.set("HEALTH_LISTEN", "127.0.0.1:0").set("DOCKER_NETWORK", "bridge");
    Some(scene)
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_with_its_reason_and_so_is_its_return() {
    let Some(mut scene) = watched("exit 0").await else { return };
    let proxy = EngineProxy::start();
    scene.home.set("DOCKER_HOST", &proxy.host());
    let mut coordinator = scene.home.start();
    let monitor = Monitor::of(&mut coordinator).await;
    let ready = monitor.answers("/ready", 200).await;
    assert_eq!(ready, json!({"version": 1, "ready": true, "state": "ready"}));
    let (status, health) = monitor.json("/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("healthy")), "{health}");
    for name in ["app", "engine"] {
        assert!(health["dependencies"][name]["latency_millis"].as_f64().unwrap() > 0.0);
    }

    proxy.down(Absence::HangUp);
    let ready = monitor.answers("/ready", 503).await;
    assert_eq!(ready["state"], "held", "{ready}");
    assert!(ready["reason"].as_str().unwrap().contains("Docker Engine"), "{ready}");
    let health = monitor.answers("/health", 503).await;
    assert_eq!(health["dependencies"]["engine"]["state"], "down", "{health}");
    assert_eq!(health["dependencies"]["app"]["state"], "up", "{health}");
    assert_eq!(
        monitor.metric("terarchitect_dependency_up{dependency=\"engine\"}").await,
        Some(0.0)
    );
    assert_eq!(monitor.get("/live").await.0, 200, "a new start would mend nothing");
    monitor.reached("terarchitect_breaker{dependency=\"engine\",state=\"open\"}", 1.0).await;

    proxy.up();
    monitor.answers("/ready", 200).await;
    monitor.answers("/health", 200).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_pause_and_a_drain_are_told_as_such() {
    let Some(mut scene) = watched("pause").await else { return };
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    let monitor = Monitor::of(&mut coordinator).await;
    scene.engine.pausing(job.job_id).await;
    for (command, state) in [("pause", "paused"), ("drain", "draining")] {
        assert_eq!(scene.home.command(&["resume"]).await.0, Some(0));
        monitor.reached("terarchitect_gate{state=\"open\"}", 1.0).await;
        let arguments: &[&str] =
            if command == "drain" { &["drain", "--no-wait"] } else { &["pause"] };
        assert_eq!(scene.home.command(arguments).await.0, Some(0));
        let ready = monitor.answers("/ready", 503).await;
        assert_eq!((&ready["state"], &ready["ready"]), (&json!(state), &json!(false)));
        monitor.reached(&format!("terarchitect_gate{{state=\"{state}\"}}"), 1.0).await;
    }
    scene.engine.release(job.job_id).await;
    assert!(coordinator.wait().await.success());
}

#[tokio::test]
async fn a_refused_key_is_told_and_so_is_an_app_that_is_away() {
    let Some(mut scene) = watched("exit 0").await else { return };
    scene.home.set("TERARCHITECT_WORKER_API_KEY", "revoked");
    let mut coordinator = scene.home.start();
    let monitor = Monitor::of(&mut coordinator).await;
    monitor.reached("terarchitect_app_key_refused", 1.0).await;
    eventually("the reason", async || {
        let (status, ready) = monitor.json("/ready").await;
        (status == 503 && ready["reason"].as_str()?.contains("401")).then_some(())
    })
    .await;
    let health = monitor.answers("/health", 503).await;
    let app = &health["dependencies"]["app"];
    assert!(app["problem"].as_str().unwrap().contains("401"), "{health}");
    assert_eq!(monitor.metric("terarchitect_dependency_up{dependency=\"app\"}").await, Some(1.0));

    scene.app.stop().await;
    monitor.reached("terarchitect_dependency_up{dependency=\"app\"}", 0.0).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn metrics_tell_what_waited_what_ran_and_what_it_came_to() {
    let document = json!({
        "version": 1, "verdict": "partial", "cause": "worker_failed", "summary": "limited",
        "runner_version": "0.1.0", "money_usd": 0.5,
        "worker": {"cli": "opencode", "model": "some/model"},
        "tokens": {"input": 70, "cached": 5, "output": 9},
        "turns": [{"ending": "rate_limited", "detail": "", "millis": 9,
                   "tokens": {"input": 70, "cached": 5, "output": 9}}],
    });
    let document = STANDARD.encode(document.to_string());
    let script = format!("echo {document} | base64 -d >$AGENT_OUTCOME_FILE; exit 4");
    let Some(mut scene) = watched("exit 0").await else { return };
    let mut coordinator = scene.home.start();
    let monitor = Monitor::of(&mut coordinator).await;
    monitor.reached("terarchitect_queue_jobs", 0.0).await;
    let completed = format!("{ENDED}{{outcome=\"completed\",cause=\"\",exit=\"\"}}");
    let failed = format!("{ENDED}{{outcome=\"failed\",cause=\"agent\",exit=\"worker_failed\"}}");
    for series in [&completed, &failed] {
        assert_eq!(monitor.metric(series).await, Some(0.0), "{series}");
    }

    let job = scene.add_job().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    monitor.reached(&completed, 1.0).await;
    scene.app.set_script(&script).await;
    let job = scene.add_job().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "failed");
    monitor.reached(&failed, 1.0).await;
    for phase in ["start", "launch", "run", "report"] {
        monitor.reached(&format!("{PHASES}{{phase=\"{phase}\"}}"), 2.0).await;
    }
    for (series, value) in [
        ("terarchitect_claims_total{result=\"job\"}", 2.0),
        ("terarchitect_tokens_total{model=\"some/model\",kind=\"input\"}", 70.0),
        ("terarchitect_money_usd_total{model=\"some/model\"}", 0.5),
        ("terarchitect_agent_turns_total{ending=\"rate_limited\"}", 1.0),
        ("terarchitect_slots", 1.0),
        ("terarchitect_slots_used", 0.0),
        ("terarchitect_oldest_job_seconds", 0.0),
        ("terarchitect_ready", 1.0),
    ] {
        assert_eq!(monitor.metric(series).await, Some(value), "{series}");
    }
    let resident = monitor.metric("process_resident_memory_bytes").await.unwrap();
    assert!(resident > f64::from(1 << 20), "{resident}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_socket_is_for_user_and_group_and_gone_at_the_end() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let path = scene.home.dir().join("health.sock");
    scene.home.set("HEALTH_LISTEN", &format!("unix:{}", path.display()));
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("health and metrics at unix:").await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /live HTTP/1.1\r\nHost: coordinator\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("{\"live\":true,\"version\":1}\n"), "{answer}");
    coordinator.terminate().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_others_waiting_for_long() {
    let Some(mut scene) = watched("exit 0").await else { return };
    let mut coordinator = scene.home.start();
    let monitor = Monitor::of(&mut coordinator).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(monitor.target()).await.unwrap());
    }
    assert_eq!(monitor.get("/live").await.0, 200);
    let (status, body) = monitor.json("/nothing").await;
    assert_eq!((status, &body["version"]), (404, &json!(1)));
    drop(silent);
    coordinator.terminate().await;
}

/// How often a watchdog was fed so far. It reads all the time, as systemd does: a service whose words nobody takes
/// waits until somebody does.
fn watchdog(socket: UnixDatagram) -> (JoinSet<()>, watch::Receiver<usize>) {
    let (count, fed) = watch::channel(0);
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line == "WATCHDOG=1") {
                count.send_modify(|count| *count += 1);
            }
        }
    });
    (reading, fed)
}

#[tokio::test]
async fn the_watchdog_is_fed_while_the_engine_is_down_and_not_by_a_process_that_is_stopped() {
    let Some(mut scene) = watched("exit 0").await else { return };
    let proxy = EngineProxy::start_down();
    let path = scene.home.dir().join("notify.sock");
    let (_reading, mut fed) = watchdog(UnixDatagram::bind(&path).unwrap());
    scene.home.set("DOCKER_HOST", &proxy.host());
    scene.home.set("NOTIFY_SOCKET", &path.display().to_string()).set("WATCHDOG_USEC", "150000");
    let mut coordinator = scene.home.start();
    let monitor = Monitor::of(&mut coordinator).await;
    monitor.answers("/health", 503).await;
    let enough = *fed.borrow() + 10;
    let ten = timeout(DEADLINE, fed.wait_for(|fed| *fed >= enough)).await.is_ok();
    assert!(ten, "no ten feeds without an engine");

    coordinator.signal(Signal::SIGSTOP);
    // What was said before may still be read.
    eventually("the end of the feeds", async || {
        timeout(SEVERAL_FEEDS, fed.changed()).await.is_err().then_some(())
    })
    .await;
    coordinator.signal(Signal::SIGCONT);
    let again = timeout(DEADLINE, fed.changed()).await;
    assert!(again.is_ok_and(|fed| fed.is_ok()), "no feed after the stop");
    coordinator.terminate().await;
}
