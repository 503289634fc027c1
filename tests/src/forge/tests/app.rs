//! The tokens of a GitHub App.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{Method, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::*;
use crate::forge::timestamp::unix_seconds;

const KEY: &str = include_str!("../../../testdata/github-app.pem");
const PUBLIC_KEY: &str = include_str!("../../../testdata/github-app.public.pem");

/// A statement of App 7, issued and ending so many seconds from now.
fn statement(issued: i64, end: i64) -> String {
    let now = unix_seconds().cast_signed();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({ "alg": "RS256" }));
    let claims = json!({ "iat": now + issued, "exp": now + end, "iss": "7" });
    let signed = format!("{head}.{}", part(claims));
    let body: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_der(&STANDARD.decode(body).unwrap()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn with_app(life: Duration) -> Fixture {
    let fx = Fixture::new().await;
    fx.forge.shutdown().await.unwrap();
    let mut options = ForgeOptions::new(fx.dir.path().join("forge"), Token::new(TOKEN).unwrap());
    let installed = ["acme/web", "acme/api"].map(|name| name.parse().unwrap()).to_vec();
    options.app = Some(ForgeApp::new(7, PUBLIC_KEY, installed, life).unwrap());
    Fixture { forge: TestForge::start(options).await.unwrap(), ..fx }
}

impl Fixture {
    async fn as_app(
        &self,
        method: Method,
        path: &str,
        statement: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.forge.api_url());
        let mut request = self.http.request(method, url).bearer_auth(statement);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn token(&self, repositories: Value) -> (StatusCode, Value) {
        let body = json!({ "repositories": repositories, "permissions": { "contents": "write" } });
        let path = "/app/installations/1/access_tokens";
        self.as_app(Method::POST, path, &statement(-60, 540), Some(body)).await
    }

    async fn status_with(&self, token: &str) -> StatusCode {
        let url = format!("{}/repos/acme/web", self.forge.api_url());
        self.http.get(url).bearer_auth(token).send().await.unwrap().status()
    }
}

#[tokio::test]
async fn a_token_opens_the_repositories_that_it_was_made_for() {
    let fx = with_app(Duration::from_secs(3600)).await;
    let at = |repo| format!("/repos/acme/{repo}/installation");
    let found = fx.as_app(Method::GET, &at("web"), &statement(-60, 540), None).await;
    assert_eq!((found.0, &found.1["id"]), (StatusCode::OK, &json!(1)));
    let absent = fx.as_app(Method::GET, &at("other"), &statement(-60, 540), None).await;
    assert_eq!(absent.0, StatusCode::NOT_FOUND);

    let (status, web) = fx.token(json!(["web"])).await;
    assert_eq!(status, StatusCode::CREATED, "{web}");
    let web = web["token"].as_str().unwrap();
    assert_eq!(fx.status_with(web).await, StatusCode::OK);
    let cloned = git(fx.dir.path(), &["clone", "-q", &fx.url_with(web), "cloned"]).await;
    ok(cloned);
    let (_, api) = fx.token(json!(["api"])).await;
    let api = api["token"].as_str().unwrap();
    assert_eq!(fx.status_with(api).await, StatusCode::UNAUTHORIZED);
    assert_eq!(fx.token(json!(["other"])).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(fx.forge.issued_tokens(), [web, api]);
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_token_ends_with_its_life() {
    let fx = with_app(Duration::ZERO).await;
    let (_, made) = fx.token(json!(["web"])).await;
    assert_eq!(fx.status_with(made["token"].as_str().unwrap()).await, StatusCode::UNAUTHORIZED);
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn only_the_app_s_own_statement_of_this_time_is_taken() {
    let fx = with_app(Duration::from_secs(3600)).await;
    let message = async |statement: &str| {
        let (status, answer) = fx.as_app(Method::GET, "/app", statement, None).await;
        (status.as_u16(), answer["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(message(&statement(-60, 540)).await.0, 200);
    let (status, late) = message(&statement(-900, -300)).await;
    assert!(status == 401 && late.contains("'Expiration time'"), "{late}");
    let (status, early) = message(&statement(90, 500)).await;
    assert!(status == 401 && early.contains("'Issued at'"), "{early}");
    let (status, long) = message(&statement(-60, 900)).await;
    assert!(status == 401 && long.contains("too far in the future"), "{long}");
    let mut forged = statement(-60, 540);
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    for wrong in [forged.as_str(), TOKEN, "a.b.c"] {
        assert_eq!(message(wrong).await.0, 401, "{wrong}");
    }
    fx.forge.shutdown().await.unwrap();
}
