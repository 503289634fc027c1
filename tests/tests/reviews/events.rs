//! Events of a forge, without any polling.

use integration_tests::forge::ForgeKind;
use reqwest::StatusCode;
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::{Value, json};

use super::scene::{Scene, on_line};

const SECRET: &str = "the-secret-of-the-webhook";

/// Looks once, and then only when something happens.
const TOLD: &[&str] = &["--review-poll-sec", "0", "--review-debounce-sec", "0"];

/// An event about a pull request, as each forge words it.
fn event(kind: ForgeKind, scene: &Scene, pull: u64) -> String {
    let name = scene.repo.to_string();
    let event: Value = match kind {
        ForgeKind::GitHub => json!({"action": "created", "issue": {"number": pull},
            "comment": {"id": 1, "body": "not believed"}, "repository": {"full_name": name}}),
        ForgeKind::Gitea => json!({"action": "reviewed", "pull_request": {"number": pull},
            "repository": {"full_name": name}}),
        ForgeKind::GitLab => json!({"object_kind": "note", "merge_request": {"iid": pull},
            "project": {"path_with_namespace": name}}),
    };
    event.to_string()
}

/// The header by which each forge shows that an event is its own.
fn signature(kind: ForgeKind, secret: &str, body: &str) -> (&'static str, String) {
    let tag = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), body.as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    match kind {
        ForgeKind::GitHub => ("x-hub-signature-256", format!("sha256={digits}")),
        ForgeKind::Gitea => ("x-gitea-signature", digits),
        ForgeKind::GitLab => ("x-gitlab-token", secret.to_owned()),
    }
}

async fn send(scene: &Scene, body: String, (name, value): (&str, String)) -> StatusCode {
    let url = format!("{}/api/forge-events", scene.app.url());
    let http = api_client::http::http_client("forge/1").build().unwrap();
    let request = http.post(url).header("content-type", "application/json").header(name, value);
    request.body(body).send().await.unwrap().status()
}

#[tokio::test]
async fn a_signed_event_has_its_pull_request_looked_at() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, TOLD).await;
        scene.app.set("FORGE_WEBHOOK_SECRET", SECRET).await;
        for pull in [1, 2] {
            let ticket = scene.ticket(pull).await;
            scene.stands(ticket, "open").await;
        }
        scene.say(1, on_line(1), "not asked about");
        scene.say(2, on_line(1), "please");
        let body = event(kind, &scene, 2);
        let signature = signature(kind, SECRET, &body);
        assert_eq!(send(&scene, body, signature).await, StatusCode::ACCEPTED, "{kind:?}");
        let jobs = scene.jobs_are(1).await;
        let seen = (&jobs[0]["pr_number"], &jobs[0]["comment_body"]);
        assert_eq!(seen, (&2.into(), &"please".into()), "{kind:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn an_event_with_a_wrong_signature_is_refused_and_nothing_is_asked() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, TOLD).await;
        let ticket = scene.ticket(1).await;
        scene.stands(ticket, "open").await;
        let before = scene.forge.requests().len();
        scene.say(1, on_line(1), "please");
        let body = event(kind, &scene, 1);
        let right = signature(kind, SECRET, &body);
        let early = send(&scene, body.clone(), right.clone()).await;
        assert_eq!(early, StatusCode::NOT_FOUND, "{kind:?}: no secret is set");
        scene.app.set("FORGE_WEBHOOK_SECRET", SECRET).await;
        let wrong = signature(kind, "another secret", &body);
        let refused = send(&scene, body.clone(), wrong).await;
        assert_eq!(refused, StatusCode::UNAUTHORIZED, "{kind:?}");
        let asked = scene.forge.requests();
        assert_eq!(asked.len(), before, "{kind:?}: {asked:?}");
        assert_eq!(send(&scene, body, right).await, StatusCode::ACCEPTED, "{kind:?}");
        scene.jobs_are(1).await;
        scene.end().await;
    }
}

#[tokio::test]
async fn an_event_of_another_repository_is_taken_and_nothing_is_asked() {
    let scene = Scene::new(ForgeKind::GitHub, TOLD).await;
    scene.app.set("FORGE_WEBHOOK_SECRET", SECRET).await;
    let ticket = scene.ticket(1).await;
    scene.stands(ticket, "open").await;
    let before = scene.forge.requests().len();
    let ours = event(ForgeKind::GitHub, &scene, 1);
    for body in [ours.replace("acme/demo", "acme/other"), "{}".to_owned(), "no JSON".to_owned()] {
        let signature = signature(ForgeKind::GitHub, SECRET, &body);
        assert_eq!(send(&scene, body, signature).await, StatusCode::ACCEPTED);
    }
    assert_eq!(scene.forge.requests().len(), before);
    scene.end().await;
}

#[tokio::test]
async fn the_end_of_a_job_is_followed_by_a_look() {
    const FLAGS: &[&str] =
        &["--review-poll-sec", "0", "--review-debounce-sec", "0", "--review-backoff-sec", "0.05"];
    let scene = Scene::new(ForgeKind::GitHub, FLAGS).await;
    scene.say(1, on_line(1), "please");
    scene.ticket(1).await;
    scene.jobs_are(1).await;
    let job = scene.claim().await;
    scene.fail(job.job_id).await;
    scene.jobs_are(2).await;
    let job = scene.claim().await;
    scene.say(1, on_line(2), "said while it runs");
    scene.complete(job.job_id).await;
    let jobs = scene.jobs_are(3).await;
    assert_eq!(jobs[2]["comment_body"], "said while it runs");
    scene.end().await;
}
