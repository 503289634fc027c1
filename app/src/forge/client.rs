//! Requests to a forge's REST API, which all read.
//!
//! Invariants: the token is in a header and goes to no other origin than the API's, whatever a redirect
//! or a link says; each answer has an end in time and size; an answer that has not changed is asked for
//! under its tag, which costs a GitHub token nothing.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use api_client::Secret;
use api_client::http::{describe, http_client};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION,
};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::Url;

use super::kept::{Cache, Kept};
use super::{ForgeError, headers};
use crate::clock::Timestamp;

/// How long one request may take.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Largest answer, in bytes: a hundred of the longest comments are less.
const ANSWER_MAX: usize = 8 << 20;
/// Most pages of one list, of 100 entries each where the forge gives so many.
const PAGES_MAX: usize = 20;
/// How often one request may be sent elsewhere: repositories are renamed.
const REDIRECTS_MAX: usize = 3;
/// So many entries are a page that is full: the forge may have more than it said when it was last asked.
const PAGE_FULL: usize = 50;

/// A forge's REST API, with the token for it.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    own: OnceCell<Option<String>>,
    kept: Mutex<Cache>,
    /// Set once the log says that something may not be read.
    told: OnceLock<()>,
}

/// The body of an answer, and where its list goes on.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) body: Vec<u8>,
    /// The query of the next page, where the forge names it.
    pub(super) next: Option<String>,
    /// How many entries all pages have together, where the forge says that.
    pub(super) total: Option<usize>,
    pub(super) date: Option<Timestamp>,
}

/// Whose token it is; each forge has one of the names.
#[derive(Deserialize)]
struct Account {
    login: Option<String>,
    username: Option<String>,
}

impl Client {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// When no HTTP client can be set up, or the token is no text that a header can carry.
    pub(super) fn new(base: Url, token: &Secret) -> Result<Self, ForgeError> {
        let agent = concat!("terarchitect-app/", env!("CARGO_PKG_VERSION"));
        let json = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let http = http_client(agent).timeout(TIME_LIMIT).default_headers(json).build();
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose().trim()));
        let mut authorization = bearer.map_err(|_| ForgeError::NoToken)?;
        authorization.set_sensitive(true);
        let http = http.map_err(ForgeError::Setup)?;
        let (own, kept, told) = (OnceCell::new(), Mutex::default(), OnceLock::new());
        Ok(Self { http, base, authorization, own, kept, told })
    }

    /// The login of the token's account, which is asked for once; nothing for a token that may not tell,
    /// as that of an App.
    pub(super) async fn own(&self) -> Result<Option<&str>, ForgeError> {
        let ask = async || {
            let account = self.one::<Account>(self.url(["user"])).await;
            let account = self.unless_closed(account.map(|(account, _)| Some(account)))?;
            Ok(account.and_then(|account| account.login.or(account.username)))
        };
        self.own.get_or_try_init(ask).await.map(Option::as_deref)
    }

    /// What a token may not read is as if there were none of it: the log says so, once for a forge.
    pub(super) fn unless_closed<T: Default>(
        &self,
        answer: Result<T, ForgeError>,
    ) -> Result<T, ForgeError> {
        match answer {
            Err(error @ (ForgeError::Refused { .. } | ForgeError::NotFound { .. })) => {
                if self.told.set(()).is_ok() {
                    tracing::warn!(%error, "looking at pull requests without this");
                }
                Ok(T::default())
            }
            answer => answer,
        }
    }

    /// An address below the API's; what a segment holds is encoded, slashes included.
    pub(super) fn url<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Reads one thing, and the forge's time.
    pub(super) async fn one<T: DeserializeOwned>(
        &self,
        url: Url,
    ) -> Result<(T, Timestamp), ForgeError> {
        let page = self.page(&url).await?;
        Ok((parse(&url, &page.body)?, page.date.unwrap_or_else(Timestamp::now)))
    }

    /// Reads a list with all its pages.
    pub(super) async fn all<T: DeserializeOwned>(&self, url: Url) -> Result<Vec<T>, ForgeError> {
        self.pages(url, |page: Vec<T>| page).await
    }

    /// The same of a list that is a part of each answer.
    pub(super) async fn pages<P: DeserializeOwned, T>(
        &self,
        mut url: Url,
        list_of: impl Fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, ForgeError> {
        let mut all = Vec::new();
        for number in 1..=PAGES_MAX {
            let page = self.page(&url).await?;
            let entries = list_of(parse(&url, &page.body)?);
            let count = entries.len();
            all.extend(entries);
            let more = page.total.is_some_and(|total| count > 0 && all.len() < total);
            let counted = more.then(|| headers::query_of_page(&url, number + 1)).flatten();
            match page.next.or(counted) {
                Some(query) => url.set_query(Some(&query)),
                None => {
                    if count >= PAGE_FULL {
                        self.kept().forget(&url);
                    }
                    return Ok(all);
                }
            }
        }
        Err(malformed(&url, format!("the list has more than {PAGES_MAX} pages")))
    }

    /// One answer, which may be one of before where it has not changed.
    async fn page(&self, url: &Url) -> Result<Page, ForgeError> {
        let kept = self.kept().get(url);
        let (response, final_url) = self.follow(url, kept.as_ref().map(|kept| &kept.tag)).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let date = headers::date(&headers);
        let next = headers::next_page(&headers, &final_url);
        if let (StatusCode::NOT_MODIFIED, Some(Kept { page, .. })) = (status, kept) {
            let total = headers::total(&headers).or(page.total);
            return Ok(Page { body: page.body, next: next.or(page.next), total, date });
        }
        let body = receive(url, response).await?;
        if let Some(pause) = headers::pause(status, &headers, &body) {
            return Err(ForgeError::RateLimited { place: place(url), pause });
        }
        match status {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => return Err(ForgeError::NotFound { place: place(url) }),
            status if status.is_server_error() => {
                let problem = format!("it answered {status}");
                return Err(ForgeError::Unreachable { place: place(url), problem });
            }
            status => {
                return Err(ForgeError::Refused { place: place(url), status: status.as_u16() });
            }
        }
        let page = Page { body, next, total: headers::total(&headers), date };
        match headers.get(ETAG) {
            Some(tag) => self.kept().put(url, Kept { tag: tag.clone(), page: page.clone() }),
            None => self.kept().forget(url),
        }
        Ok(page)
    }

    /// Sends the request, also where the forge says that the repository is now, within one origin.
    async fn follow(
        &self,
        url: &Url,
        tag: Option<&HeaderValue>,
    ) -> Result<(Response, Url), ForgeError> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let request = self.http.get(at.clone());
            let request = request.header(AUTHORIZATION, self.authorization.clone());
            let request = match tag {
                Some(tag) => request.header(IF_NONE_MATCH, tag.clone()),
                None => request,
            };
            let response = request.send().await.map_err(|error| unreachable(url, error))?;
            let Some(target) = redirect(&response, &at) else {
                return Ok((response, at));
            };
            if target.origin() != url.origin() {
                let elsewhere = target.origin().ascii_serialization();
                let problem = format!("it redirects to {elsewhere}, where the token is not sent");
                return Err(malformed(url, problem));
            }
            at = target;
        }
        Err(malformed(url, format!("it redirects more than {REDIRECTS_MAX} times")))
    }

    fn kept(&self) -> MutexGuard<'_, Cache> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn redirect(response: &Response, url: &Url) -> Option<Url> {
    let moved = [301, 302, 307, 308].contains(&response.status().as_u16());
    let target = response.headers().get(LOCATION).filter(|_| moved)?.to_str().ok()?;
    url.join(target).ok()
}

async fn receive(url: &Url, mut response: Response) -> Result<Vec<u8>, ForgeError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreachable(url, error))? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(malformed(url, format!("it is longer than {ANSWER_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn parse<T: DeserializeOwned>(url: &Url, body: &[u8]) -> Result<T, ForgeError> {
    serde_json::from_slice(body).map_err(|error| malformed(url, error.to_string()))
}

fn malformed(url: &Url, problem: String) -> ForgeError {
    ForgeError::Malformed { place: place(url), problem }
}

fn unreachable(url: &Url, error: reqwest::Error) -> ForgeError {
    let connected = !error.is_connect();
    let (place, problem) = (place(url), describe(error));
    match connected {
        true => ForgeError::Unreachable { place, problem },
        false => ForgeError::NoConnection { place, problem },
    }
}

/// An address without its query, for people.
fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

#[cfg(test)]
mod tests;
