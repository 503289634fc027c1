//! The forge as real clients see it: the git program and an HTTP client.

use std::path::Path;
use std::process::Output;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::*;

const TOKEN: &str = "ghp_sesame";

/// A forge with one repository, and a clone of it with a commit on `work`.
struct Fixture {
    dir: TempDir,
    forge: TestForge,
    repo: RepoName,
    http: reqwest::Client,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seed = dir.path().join("seed");
        std::fs::create_dir(&seed).unwrap();
        ok(git(&seed, &["init", "-q", "-b", "main"]).await);
        commit(&seed, "README.md", "one\n").await;
        let forge = start(dir.path()).await;
        let repo: RepoName = "acme/web".parse().unwrap();
        forge
            .create_repo(&repo, RepoSource::From(&seed))
            .await
            .unwrap();
        let http = api_client::http::http_client("forge-tests")
            .build()
            .unwrap();
        Self {
            dir,
            forge,
            repo,
            http,
        }
    }

    /// The clone URL with credentials, which only a test may do.
    fn url_with(&self, token: &str) -> String {
        let mut url = self.forge.clone_url(&self.repo);
        url.set_username("x-access-token").unwrap();
        url.set_password(Some(token)).unwrap();
        url.to_string()
    }

    async fn push_branch(&self, branch: &str, file: &str, text: &str) {
        let clone = self.dir.path().join(branch);
        let target = clone.to_str().unwrap();
        ok(git(
            self.dir.path(),
            &["clone", "-q", &self.url_with(TOKEN), target],
        )
        .await);
        ok(git(&clone, &["checkout", "-q", "-b", branch]).await);
        commit(&clone, file, text).await;
        ok(git(&clone, &["push", "-q", "origin", branch]).await);
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/repos/acme/web{path}", self.forge.api_url());
        self.http.request(method, url).bearer_auth(TOKEN)
    }

    async fn api(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn open_pull(&self, head: &str) -> (StatusCode, Value) {
        let body = json!({"title": "Add work", "head": head, "base": "main", "body": "Why & how"});
        self.api(Method::POST, "/pulls", Some(body)).await
    }
}

async fn start(dir: &Path) -> TestForge {
    let options = ForgeOptions::new(dir.join("forge"), Token::new(TOKEN).unwrap());
    TestForge::start(options).await.unwrap()
}

async fn git(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("git");
    git::isolate(&mut command);
    let identity = ["-c", "user.name=Tess", "-c", "user.email=tess@example.org"];
    command
        .current_dir(dir)
        .args(identity)
        .args(args)
        .output()
        .await
        .unwrap()
}

fn ok(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn commit(dir: &Path, file: &str, text: &str) {
    std::fs::write(dir.join(file), text).unwrap();
    ok(git(dir, &["add", "."]).await);
    ok(git(dir, &["commit", "-q", "-m", file]).await);
}

#[tokio::test]
async fn clone_and_push_work_with_the_token_and_with_no_other() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    let sha = git::resolve(&fx.forge.repo_path(&fx.repo), "refs/heads/work")
        .await
        .unwrap();
    assert!(sha.is_some(), "the branch is in the bare repository");

    let dir = fx.dir.path();
    let wrong = git(dir, &["clone", "-q", &fx.url_with("guess"), "wrong"]).await;
    assert!(!wrong.status.success());
    assert!(
        stderr(&wrong).contains("Authentication failed"),
        "{}",
        stderr(&wrong)
    );
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
    ok(git(
        fx.dir.path(),
        &["clone", "-q", &fx.url_with(TOKEN), "clone"],
    )
    .await);
    let mut noise = 1_u64;
    let big: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        noise.to_be_bytes()[0]
    })
    .take(3_000_000)
    .collect();
    std::fs::write(clone.join("big.bin"), &big).unwrap();
    ok(git(&clone, &["add", "."]).await);
    ok(git(&clone, &["commit", "-q", "-m", "big"]).await);
    ok(git(
        &clone,
        &[
            "-c",
            "http.postBuffer=65536",
            "push",
            "-q",
            "origin",
            "HEAD:big",
        ],
    )
    .await);
    // Each branch needs its own commit, or one `want` line would do for all.
    for n in 0..40 {
        ok(git(
            &clone,
            &["commit", "-q", "--allow-empty", "-m", &n.to_string()],
        )
        .await);
        ok(git(&clone, &["branch", &format!("b{n}")]).await);
    }
    ok(git(&clone, &["push", "-q", "--all", "origin"]).await);
    ok(git(
        fx.dir.path(),
        &["clone", "-q", "--no-local", &fx.url_with(TOKEN), "second"],
    )
    .await);
    let second = fx.dir.path().join("second");
    ok(git(&second, &["checkout", "-q", "big"]).await);
    assert!(
        std::fs::read(second.join("big.bin")).unwrap() == big,
        "the file came back whole"
    );

    let sent = |header: &str| {
        let has = |r: &RequestRecord| r.header_names.iter().any(|name| name == header);
        fx.forge.requests().iter().any(has)
    };
    assert!(sent("transfer-encoding"), "a push was chunked");
    assert!(sent("content-encoding"), "a fetch was gzipped");
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_pull_request_has_githubs_fields_and_a_second_one_is_refused() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    let (status, pull) = fx.open_pull("work").await;
    assert_eq!(status, StatusCode::CREATED, "{pull}");
    let page = format!("{}acme/web/pull/1", fx.forge.url());
    assert_eq!(pull["html_url"], page);
    assert_eq!(
        (&pull["number"], &pull["state"]),
        (&json!(1), &json!("open"))
    );
    assert_eq!(pull["head"]["label"], "acme:work");
    assert_eq!(pull["base"]["ref"], "main");
    let (_, reference) = fx.api(Method::GET, "/git/ref/heads/work", None).await;
    assert_eq!(reference["object"]["sha"], pull["head"]["sha"]);

    let (status, refused) = fx.open_pull("acme:work").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = &refused["errors"][0]["message"];
    assert_eq!(message, "A pull request already exists for acme:work.");

    let html = reqwest::get(&page).await.unwrap().text().await.unwrap();
    assert!(html.contains("Why &amp; how"), "{html}");
    let diff = reqwest::get(page + ".diff")
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        diff.contains("+++ b/new.txt") && diff.contains("\n+new\n"),
        "{diff}"
    );
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn pull_requests_are_listed_by_head_and_state_and_can_be_changed() {
    let fx = Fixture::new().await;
    fx.push_branch("one", "1.txt", "1\n").await;
    fx.push_branch("two", "2.txt", "2\n").await;
    assert_eq!(fx.open_pull("one").await.0, StatusCode::CREATED);
    assert_eq!(fx.open_pull("two").await.0, StatusCode::CREATED);
    let numbers = async |query: &str| {
        let (status, list) = fx.api(Method::GET, &format!("/pulls{query}"), None).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let list = list.as_array().unwrap();
        list.iter()
            .map(|pull| pull["number"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers("").await, [2, 1]);
    assert_eq!(numbers("?head=acme:one&state=open").await, [1]);
    assert_eq!(numbers("?head=other:one").await, [0; 0]);
    assert_eq!(numbers("?per_page=1&page=2").await, [1]);

    let change = json!({"state": "closed", "title": "Closed", "body": null});
    let (status, pull) = fx.api(Method::PATCH, "/pulls/1", Some(change)).await;
    assert_eq!((status, &pull["state"]), (StatusCode::OK, &json!("closed")));
    assert_eq!(
        (&pull["title"], &pull["body"]),
        (&json!("Closed"), &Value::Null)
    );
    assert_eq!(numbers("").await, [2]);
    assert_eq!(numbers("?state=all").await, [2, 1]);
    assert_eq!(
        fx.open_pull("one").await.1["number"],
        3,
        "a closed one makes room"
    );

    let (status, _) = fx
        .api(Method::PATCH, "/pulls/1", Some(json!({"state": "open"})))
        .await;
    assert_eq!(
        status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "two open ones for one branch"
    );
    let (status, _) = fx.api(Method::GET, "/pulls?head=one", None).await;
    assert_eq!(
        status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a head without its owner"
    );
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn impossible_pull_requests_are_refused_with_the_field_named() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    let post = async |body: Value| {
        let (status, answer) = fx.api(Method::POST, "/pulls", Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        answer.to_string()
    };
    let absent = post(json!({"title": "t", "head": "absent", "base": "main"})).await;
    assert!(absent.contains(r#""field":"head""#), "{absent}");
    let foreign = post(json!({"title": "t", "head": "other:work", "base": "main"})).await;
    assert!(foreign.contains(r#""field":"head""#), "{foreign}");
    let same = post(json!({"title": "t", "head": "main", "base": "main"})).await;
    assert!(same.contains("No commits between main and main"), "{same}");
    let untitled = post(json!({"title": " ", "head": "work", "base": "main"})).await;
    assert!(untitled.contains(r#""field":"title""#), "{untitled}");
    let missing = post(json!({"title": "t", "head": "work"})).await;
    assert!(missing.contains("missing field `base`"), "{missing}");
    let odd = post(json!({"title": "t", "head": "work", "base": "main", "label": 1})).await;
    assert!(odd.contains("unknown field `label`"), "{odd}");
    let long = post(json!({"title": "t".repeat(257), "head": "work", "base": "main"})).await;
    assert!(long.contains("title is too long"), "{long}");
    assert!(fx.forge.pulls(&fx.repo).is_empty());
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_must_identify_itself_and_speak_a_known_version() {
    let fx = Fixture::new().await;
    let url = fx
        .request(Method::GET, "")
        .build()
        .unwrap()
        .url()
        .to_string();
    let status = async |request: reqwest::RequestBuilder| {
        let response = request.send().await.unwrap();
        let limit = response.headers()["x-ratelimit-limit"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(limit, "5000");
        response.status().as_u16()
    };
    assert_eq!(status(fx.request(Method::GET, "")).await, 200);
    assert_eq!(
        status(reqwest::Client::new().get(&url).bearer_auth(TOKEN)).await,
        403
    );
    assert_eq!(status(fx.http.get(&url)).await, 401);
    assert_eq!(status(fx.http.get(&url).bearer_auth("guess")).await, 401);
    assert_eq!(status(fx.request(Method::GET, "/nothing")).await, 404);
    assert_eq!(
        status(fx.request(Method::GET, "/git/ref/heads/absent")).await,
        404
    );
    let version = |v| {
        fx.request(Method::GET, "")
            .header("x-github-api-version", v)
    };
    assert_eq!(status(version("2022-11-28")).await, 200);
    assert_eq!(status(version("1999-01-01")).await, 400);
    assert_eq!(
        status(fx.request(Method::GET, "").header("accept", "text/html")).await,
        415
    );
    let plain = fx.request(Method::POST, "/pulls").body("{}");
    assert_eq!(status(plain).await, 415);
    let broken = fx
        .request(Method::POST, "/pulls")
        .header("content-type", "application/json");
    assert_eq!(status(broken.body("{")).await, 400);
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_repositories_and_pull_requests() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    assert_eq!(fx.open_pull("work").await.0, StatusCode::CREATED);
    fx.forge.shutdown().await.unwrap();

    let fx = Fixture {
        forge: start(fx.dir.path()).await,
        ..fx
    };
    let (_, list) = fx.api(Method::GET, "/pulls?head=acme:work", None).await;
    assert_eq!(list[0]["title"], "Add work");
    assert_eq!(
        fx.open_pull("work").await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn injected_faults_hit_pushes_and_lose_answers() {
    let fx = Fixture::new().await;
    fx.forge.fail(Fault::new("git-receive-pack", 403).times(1));
    let clone = fx.dir.path().join("clone");
    ok(git(
        fx.dir.path(),
        &["clone", "-q", &fx.url_with(TOKEN), "clone"],
    )
    .await);
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
    assert_eq!(
        fx.forge.pulls(&fx.repo).len(),
        1,
        "the answer was lost, not the request"
    );
    let bad = fx
        .http
        .post(&control)
        .json(&json!({"status": 500}))
        .send()
        .await
        .unwrap();
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
    assert_eq!(
        records[0]["authorization"],
        fingerprint(&format!("Bearer {TOKEN}"))
    );
    fx.forge.shutdown().await.unwrap();
}
