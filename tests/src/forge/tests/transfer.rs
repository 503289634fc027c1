//! Git over HTTP, faults and the record.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn clone_and_push_work_with_the_token_and_with_no_other() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    let sha = git::resolve(&fx.forge.repo_path(&fx.repo), "refs/heads/work").await.unwrap();
    assert!(sha.is_some(), "the branch is in the bare repository");

    let dir = fx.dir.path();
    let wrong = git(dir, &["clone", "-q", &fx.url_with("guess"), "wrong"]).await;
    assert!(!wrong.status.success());
    assert!(stderr(&wrong).contains("Authentication failed"), "{}", stderr(&wrong));
    let anonymous = fx.forge.clone_url(&fx.repo).to_string();
    assert!(!git(dir, &["ls-remote", &anonymous]).await.status.success());
    let absent = fx.url_with(TOKEN).replace("web", "other");
    let absent = git(dir, &["ls-remote", &absent]).await;
    assert!(stderr(&absent).contains("not found"), "{}", stderr(&absent));
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn large_chunked_pushes_and_gzipped_requests_pass_through() {
    let fx = Fixture::new().await;
    let clone = fx.dir.path().join("clone");
    ok(git(fx.dir.path(), &["clone", "-q", &fx.url_with(TOKEN), "clone"]).await);
    let mut noise = 1_u64;
    let big: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.to_be_bytes()[0]
    })
    .take(3_000_000)
    .collect();
    std::fs::write(clone.join("big.bin"), &big).unwrap();
    ok(git(&clone, &["add", "."]).await);
    ok(git(&clone, &["commit", "-q", "-m", "big"]).await);
    ok(git(&clone, &["-c", "http.postBuffer=65536", "push", "-q", "origin", "HEAD:big"]).await);
    // Each branch needs its own commit, or one `want` line would do for all.
    for n in 0..40 {
        ok(git(&clone, &["commit", "-q", "--allow-empty", "-m", &n.to_string()]).await);
        ok(git(&clone, &["branch", &format!("b{n}")]).await);
    }
    ok(git(&clone, &["push", "-q", "--all", "origin"]).await);
    ok(git(fx.dir.path(), &["clone", "-q", "--no-local", &fx.url_with(TOKEN), "second"]).await);
    let second = fx.dir.path().join("second");
    ok(git(&second, &["checkout", "-q", "big"]).await);
    assert!(std::fs::read(second.join("big.bin")).unwrap() == big, "the file came back whole");

    let sent = |header: &str| {
        let has = |r: &RequestRecord| r.header_names.iter().any(|name| name == header);
        fx.forge.requests().iter().any(has)
    };
    assert!(sent("transfer-encoding"), "a push was chunked");
    assert!(sent("content-encoding"), "a fetch was gzipped");
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn injected_faults_hit_pushes_and_lose_answers() {
    let fx = Fixture::new().await;
    fx.forge.fail(Fault::new("git-receive-pack", 403).times(1));
    let clone = fx.dir.path().join("clone");
    ok(git(fx.dir.path(), &["clone", "-q", &fx.url_with(TOKEN), "clone"]).await);
    commit(&clone, "a.txt", "a\n").await;
    let refused = git(&clone, &["push", "-q", "origin", "HEAD:work"]).await;
    assert!(stderr(&refused).contains("403"), "{}", stderr(&refused));
    ok(git(&clone, &["push", "-q", "origin", "HEAD:work"]).await);

    // By its control path, as a test in another process does it.
    let fault = json!({"path_contains": "/pulls", "method": "POST", "status": 502, "times": 1,
        "moment": "after", "headers": {"retry-after": "1"}});
    let control = format!("{}_test/fail", fx.forge.url());
    let added = fx.http.post(&control).json(&fault).send().await.unwrap();
    assert_eq!(added.status(), StatusCode::NO_CONTENT);
    assert_eq!(fx.open_pull("work").await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(fx.forge.pulls(&fx.repo).len(), 1, "the answer was lost, not the request");
    let bad = fx.http.post(&control).json(&json!({"status": 500})).send().await.unwrap();
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_record_of_requests_holds_no_credentials() {
    let fx = Fixture::new().await;
    fx.api(Method::GET, "", None).await;
    let control = format!("{}_test/requests", fx.forge.url());
    let text = reqwest::get(control).await.unwrap().text().await.unwrap();
    assert!(!text.contains(TOKEN), "{text}");
    let records: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(records[0]["path"], "/api/v3/repos/acme/web");
    assert_eq!(records[0]["status"], 200);
    assert_eq!(records[0]["authorization"], fingerprint(&format!("Bearer {TOKEN}")));
    fx.forge.shutdown().await.unwrap();
}
