//! The forge as real clients see it: the git program and an HTTP client.

mod app;
mod replies;
mod rest;
mod transfer;

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
        forge.create_repo(&repo, RepoSource::From(&seed)).await.unwrap();
        let http = api_client::http::http_client("forge-tests").build().unwrap();
        Self { dir, forge, repo, http }
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
        ok(git(self.dir.path(), &["clone", "-q", &self.url_with(TOKEN), target]).await);
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
    command.current_dir(dir).args(identity).args(args).output().await.unwrap()
}

fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
