//! Notifications: what a webhook is told, by whom it can know that, and that it is told again.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

use integration_tests::harness::{CertificateAuthority, Inbox, Posted, TlsFront, eventually};
use nix::sys::signal::Signal;
use ring::hmac::{HMAC_SHA256, Key, sign};
use url::Url;

use crate::scene::Scene;

const SECRET: &str = "the-secret-of-the-webhook";

/// A scene whose coordinator tells this inbox.
async fn told(script: &str, inbox: &Inbox, on: &str) -> Option<Scene> {
    let mut scene = Scene::or_skip(script).await?;
    scene
        .home
        .set("NOTIFY_WEBHOOK_URL", &format!("{}/services/T0/a-path-that-is-a-key", inbox.url()));
    scene.home.set("NOTIFY_SECRET", SECRET).set("NOTIFY_ON", on);
    Some(scene)
}

/// What the receiver computes from what it got.
fn signature(posted: &Posted) -> String {
    let key = Key::new(HMAC_SHA256, SECRET.as_bytes());
    let time = posted.header("x-terarchitect-timestamp").unwrap();
    let tag = sign(&key, format!("{time}.{}", posted.body).as_bytes());
    tag.as_ref().iter().fold("sha256=".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[tokio::test]
async fn a_failed_job_is_told_once_signed_tried_again_and_without_a_secret() {
    let inbox = Inbox::start().await;
    inbox.answer(&[500, 503]);
    let script = "echo sk-very-secret-key; exit 4";
    let Some(mut scene) = told(script, &inbox, "job_failed").await else { return };
    scene.app.set("WORKER_API_KEY", "sk-very-secret-key").await;
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.ended(job.job_id).await;
    let posted = inbox.has(3).await;
    assert_eq!(posted.iter().map(|posted| posted.answered).collect::<Vec<_>>(), [500, 503, 200]);
    for one in &posted {
        assert_eq!(one.path, "/services/T0/a-path-that-is-a-key");
        assert_eq!(one.body, posted[0].body);
        assert_eq!(one.header("x-terarchitect-signature").unwrap(), signature(one));
        assert_eq!(one.header("x-terarchitect-event"), Some("job_failed"));
        let delivery = one.header("x-terarchitect-delivery");
        assert_eq!(delivery, posted[0].header("x-terarchitect-delivery"));
        assert!(!one.body.contains("sk-very-secret-key"), "{}", one.body);
    }
    let body = posted[2].json();
    let own = &body["terarchitect"];
    assert_eq!(own["job"], job.job_id.to_string());
    assert_eq!(own["ticket"], job.ticket_id.to_string());
    assert_eq!((own["result"].as_str(), own["version"].as_u64()), (Some("failed"), Some(1)));
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("failed: worker failed"), "{text}");
    assert!(!coordinator.log().contains("a-path-that-is-a-key"), "{}", coordinator.log());

    scene.app.set_script("exit 0").await;
    let second = scene.add_job().await;
    scene.app.ended(second.job_id).await;
    coordinator.terminate().await;
    assert_eq!(inbox.posted().len(), 3, "a job that completed is not told: {:?}", inbox.posted());
}

#[tokio::test]
async fn a_trial_notification_is_sent_at_once_and_it_is_said_why_it_is_not_taken() {
    let inbox = Inbox::start().await;
    let Some(mut scene) = told("exit 0", &inbox, "drain").await else { return };
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    let (code, said) = scene.home.command(&["notify-test"]).await;
    assert_eq!(code, Some(0), "{said}");
    let posted = inbox.has(1).await;
    assert_eq!(posted[0].json()["terarchitect"]["event"], "trial");
    inbox.answer(&[404]);
    let (code, said) = scene.home.command(&["notify-test"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the webhook answered 404"), "{said}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_webhook_that_takes_nothing_holds_up_no_job() {
    let inbox = Inbox::start().await;
    let Some(mut scene) = told("exit 0", &inbox, "job_ended").await else { return };
    // Nobody answers there, and nobody refuses either.
    scene.home.set("NOTIFY_WEBHOOK_URL", "http://192.0.2.1/hook");
    let coordinator = scene.home.start();
    for _ in 0..3 {
        let job = scene.add_job().await;
        assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    }
    let begun = std::time::Instant::now();
    coordinator.terminate().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_alarm_and_a_drain_are_told_with_their_ends() {
    let inbox = Inbox::start().await;
    let Some(mut scene) = told("pause", &inbox, "alarm,drain").await else { return };
    let key = scene.home.dir().join("key");
    std::fs::write(&key, integration_tests::harness::KEY).unwrap();
    scene.home.unset("TERARCHITECT_WORKER_API_KEY");
    scene.home.set("TERARCHITECT_WORKER_API_KEY_FILE", key.to_str().unwrap());
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    std::fs::write(&key, "wrong").unwrap();
    coordinator.signal(Signal::SIGHUP);
    coordinator.wait_for_log("settings taken up").await;
    scene.engine.release(job.job_id).await;
    let raised = inbox.has(1).await[0].json();
    assert_eq!(raised["terarchitect"]["event"], "alarm");
    assert!(raised["text"].as_str().unwrap().contains("TERARCHITECT_WORKER_API_KEY"), "{raised}");
    std::fs::write(&key, integration_tests::harness::KEY).unwrap();
    coordinator.signal(Signal::SIGHUP);
    assert_eq!(inbox.has(2).await[1].json()["terarchitect"]["event"], "alarm_cleared");
    assert_eq!(scene.home.command(&["drain", "--no-wait"]).await.0, Some(0));
    assert!(coordinator.wait().await.success());
    let events = || {
        let events = inbox
            .posted()
            .iter()
            .map(|posted| posted.json()["terarchitect"]["event"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>();
        (events.len() == 4).then_some(events)
    };
    let events = eventually("four events", async || events()).await;
    assert_eq!(events, ["alarm", "alarm_cleared", "drain", "drained"]);
}

#[tokio::test]
async fn the_end_of_a_job_is_told_when_the_app_knows_it_and_where_the_coordinator_leaves_before() {
    let inbox = Inbox::start().await;
    let Some(mut scene) = told("pause", &inbox, "job_ended").await else { return };
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    scene.end_while_the_app_is_away(&job, &mut coordinator).await;
    assert!(inbox.posted().is_empty(), "{:?}", inbox.posted());
    coordinator.terminate().await;
    let left = inbox.has(1).await[0].json();
    assert!(left["terarchitect"]["report"].is_null(), "{left}");
    scene.app.restart().await;
    let coordinator = scene.home.start();
    let known = inbox.has(2).await[1].json();
    assert_eq!(known["terarchitect"]["report"], "acknowledged", "{known}");
    assert_eq!(known["terarchitect"]["id"], left["terarchitect"]["id"]);
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_stop_of_the_jobs_and_a_drain_that_is_taken_back_are_told_with_their_ends() {
    let inbox = Inbox::start().await;
    let Some(mut scene) = told("pause", &inbox, "drain").await else { return };
    scene.home.set("ON_STOP", "stop");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    assert_eq!(scene.home.command(&["drain", "--no-wait"]).await.0, Some(0));
    assert_eq!(scene.home.command(&["resume"]).await.0, Some(0));
    inbox.has(2).await;
    coordinator.terminate().await;
    let told: Vec<_> = inbox.has(4).await.iter().map(Posted::json).collect();
    let event =
        |told: &serde_json::Value| told["terarchitect"]["event"].as_str().map(str::to_owned);
    let events: Vec<_> = told.iter().filter_map(event).collect();
    assert_eq!(events, ["drain", "drain_cancelled", "drain", "drained"]);
    assert_eq!(told[0]["terarchitect"]["jobs_are"], "finished");
    assert_eq!(told[2]["terarchitect"]["jobs_are"], "stopped");
}

#[tokio::test]
async fn a_changed_ca_holds_for_webhook_and_collector_without_a_restart() {
    let [inbox, collector] = [Inbox::start().await, Inbox::start().await];
    let Some(mut scene) = told("exit 0", &inbox, "job_ended").await else { return };
    let (old, new) = (CertificateAuthority::new("old"), CertificateAuthority::new("new"));
    let front = async |inbox: &Inbox| {
        let port = Url::parse(&inbox.url()).unwrap().port().unwrap();
        TlsFront::start(Ipv4Addr::LOCALHOST.into(), port, &new, None).await
    };
    let (webhook, spans) = (front(&inbox).await, front(&collector).await);
    let bundle = scene.home.dir().join("ca.pem");
    std::fs::write(&bundle, old.pem()).unwrap();
    scene.home.set("EXTRA_CA_FILE", bundle.to_str().unwrap());
    scene.home.set("NOTIFY_WEBHOOK_URL", &webhook.url());
    scene.home.set("OTEL_EXPORTER_OTLP_ENDPOINT", &spans.url());
    let mut coordinator = scene.home.start();
    let job = scene.add_job().await;
    scene.app.ended(job.job_id).await;
    coordinator.wait_for_log("spans are not sent").await;
    std::fs::write(&bundle, new.pem()).unwrap();
    coordinator.signal(Signal::SIGHUP);
    coordinator.wait_for_log("settings taken up: EXTRA_CA_FILE").await;
    let job = scene.add_job().await;
    scene.app.ended(job.job_id).await;
    inbox.has(1).await;
    collector.has(1).await;
    coordinator.terminate().await;
}
