//! The questions that are put to a forge, each once, by GET (and one GraphQL query, which only reads).

use std::time::Duration;

use api_client::Secret;
use api_client::http::{Network, describe, seconds_of_date};
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, DATE, HeaderMap};
use serde_json::{Value, json};
use url::Url;

use super::kind::{self, ForgeKind};
use crate::alias::AliasHere;
use crate::check::proxy::Way;
use crate::check::url::bare;
use crate::config::AgentConfig;

const TIMEOUT: Duration = Duration::from_secs(15);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 1 << 20;

const USER_AGENT: &str = concat!("terarchitect-coordinator/", env!("CARGO_PKG_VERSION"));

/// Asks forges.
#[derive(Debug)]
pub(super) struct Asker<'w> {
    http: reqwest::Client,
    alias: AliasHere,
    way: &'w Way,
}

/// What a forge answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    headers: HeaderMap,
    /// Null where it was no JSON.
    pub(super) body: Value,
}

impl<'w> Asker<'w> {
    /// # Errors
    /// When there can be no HTTP client, in words.
    pub(super) fn new(alias: AliasHere, network: &Network, way: &'w Way) -> Result<Self, String> {
        let client = network.anonymous().client(USER_AGENT);
        let http = client.and_then(|client| client.timeout(TIMEOUT).build()).map_err(describe)?;
        Ok(Self { http, alias, way })
    }

    /// Why there is no point in asking under a URL.
    pub(super) fn no_way_to(&self, url: &Url) -> Option<String> {
        let proxy = self.way.broken_for(&self.here(url))?;
        Some(format!("{proxy}, by which {} is asked, is of no use", bare(url)))
    }

    /// The forge of a repository and the base of its API. A host whose name tells nothing is asked.
    pub(super) async fn forge_of(&self, agent: &AgentConfig, repo: &Url) -> (ForgeKind, Url) {
        let kind = match kind::known(agent, Some(repo)) {
            Some(kind) => kind,
            None => self.kind_of(repo).await,
        };
        let api = kind::set_api(agent).or_else(|| kind.usual_api(repo));
        (kind, api.unwrap_or_else(|| repo.clone()))
    }

    /// A host that answers as neither of the others is taken for GitHub Enterprise.
    async fn kind_of(&self, repo: &Url) -> ForgeKind {
        for kind in [ForgeKind::Gitea, ForgeKind::GitLab] {
            let Some(api) = kind.usual_api(repo) else { continue };
            let reply = self.send(self.http.get(self.here(&below(&api, &["version"])))).await;
            let Ok(reply) = reply else { break };
            let closed = reply.status == 401 && reply.words().contains("401 Unauthorized");
            if reply.body["version"].is_string() || (kind == ForgeKind::GitLab && closed) {
                return kind;
            }
        }
        ForgeKind::GitHub
    }

    /// Reads a part of the API.
    ///
    /// # Errors
    /// When there is no answer, in words.
    pub(super) async fn get(
        &self,
        api: &Url,
        path: &[&str],
        token: &Secret,
    ) -> Result<Reply, String> {
        let request = self.http.get(self.here(&below(api, path))).bearer_auth(token.expose());
        self.send(request.header(ACCEPT, "application/json")).await
    }

    /// Who GitHub takes this token for, where its REST API does not say it.
    pub(super) async fn viewer(&self, api: &Url, token: &Secret) -> Option<String> {
        let mut url = api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            // Beside the REST API of an Enterprise server, else below it.
            if api.path().trim_end_matches('/').ends_with("/v3") {
                path.pop();
            }
            path.push("graphql");
        }
        let request = self.http.post(self.here(&url)).bearer_auth(token.expose());
        let reply = self.send(request.json(&json!({ "query": "{viewer{login}}" }))).await.ok()?;
        reply.body["data"]["viewer"]["login"].as_str().map(str::to_owned)
    }

    /// What git is told when it begins to push to a repository; nothing is sent after that.
    ///
    /// # Errors
    /// When there is no answer, in words.
    pub(super) async fn begin_push(
        &self,
        kind: ForgeKind,
        repo: &Url,
        token: &Secret,
    ) -> Result<u16, String> {
        let mut url = self.here(&below(repo, &["info", "refs"]));
        url.set_query(Some("service=git-receive-pack"));
        let request = self.http.get(url).basic_auth(kind.token_user(), Some(token.expose()));
        let reply = request.header(ACCEPT, "*/*").send().await.map_err(describe)?;
        Ok(reply.status().as_u16())
    }

    /// As it is opened from this host.
    fn here(&self, url: &Url) -> Url {
        self.alias.rewrite(url).unwrap_or_else(|| url.clone())
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply, String> {
        let mut answer = request.send().await.map_err(describe)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(describe)? {
            if text.len() + piece.len() > ANSWER_MAX {
                break;
            }
            text.extend_from_slice(&piece);
        }
        Ok(Reply { status, headers, body: serde_json::from_slice(&text).unwrap_or_default() })
    }
}

impl Reply {
    /// One for tests, without a body.
    #[cfg(test)]
    pub(super) fn of(status: u16) -> Self {
        Self { status, headers: HeaderMap::new(), body: Value::Null }
    }

    /// The scopes of the token that was asked about, where GitLab tells them.
    pub(super) fn own_scopes(&self) -> Option<Vec<&str>> {
        let scopes = (self.status == 200).then(|| self.body["scopes"].as_array())??;
        Some(scopes.iter().filter_map(Value::as_str).collect())
    }

    /// The scopes of the token, where the forge tells them by header.
    pub(super) fn scopes(&self) -> Option<Vec<&str>> {
        let scopes = self.headers.get("x-oauth-scopes")?.to_str().ok()?;
        Some(scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).collect())
    }

    /// The forge's clock, in seconds since 1970.
    pub(super) fn date(&self) -> Option<u64> {
        self.headers.get(DATE)?.to_str().ok().and_then(seconds_of_date)
    }

    /// The forge's own words, if any.
    pub(super) fn words(&self) -> String {
        let words = self.body["message"].as_str().unwrap_or_default();
        words.chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

/// An address below another one.
fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}
