//! Requests to a forge's REST API, which all read.
//!
//! Invariants: the token is in a header and goes to no other origin than the API's, whatever a redirect
//! or a link says; each answer has an end in time and size; an answer that has not changed is asked for
//! under its tag, which costs a GitHub token nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
/// Answers that are kept to be compared; beyond it all are forgotten.
const KEPT_MAX: usize = 200;
/// Largest answer that is kept, in bytes.
const KEPT_ANSWER_MAX: usize = 256 << 10;

/// A forge's REST API, with the token for it.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    own: OnceCell<Option<String>>,
    kept: Mutex<HashMap<Url, Kept>>,
}

/// An answer that may be good for later too.
#[derive(Clone, Debug)]
struct Kept {
    tag: HeaderValue,
    page: Page,
}

/// The body of an answer, and the query under which its list goes on.
#[derive(Clone, Debug)]
struct Page {
    body: Vec<u8>,
    next: Option<String>,
    date: Option<Timestamp>,
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
        let mut authorization = bearer.map_err(|_| ForgeError::Refused {
            place: "the text of github_agent_token".to_owned(),
            status: StatusCode::UNAUTHORIZED.as_u16(),
        })?;
        authorization.set_sensitive(true);
        let http = http.map_err(ForgeError::Setup)?;
        Ok(Self { http, base, authorization, own: OnceCell::new(), kept: Mutex::default() })
    }

    /// The login of the token's account, which is asked for once; nothing for a token that may not tell,
    /// as that of an App.
    pub(super) async fn own(&self) -> Result<Option<&str>, ForgeError> {
        let ask = async || match self.one::<Account>(self.url(["user"])).await {
            Ok((account, _)) => Ok(account.login.or(account.username)),
            Err(ForgeError::Refused { .. } | ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        self.own.get_or_try_init(ask).await.map(Option::as_deref)
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
        for _ in 0..PAGES_MAX {
            let page = self.page(&url).await?;
            all.extend(list_of(parse(&url, &page.body)?));
            match page.next {
                Some(query) => url.set_query(Some(&query)),
                None => return Ok(all),
            }
        }
        Err(malformed(&url, format!("the list has more than {PAGES_MAX} pages")))
    }

    /// One answer, which may be one of before where it has not changed.
    async fn page(&self, url: &Url) -> Result<Page, ForgeError> {
        let kept = self.kept().get(url).cloned();
        let (response, final_url) = self.follow(url, kept.as_ref().map(|kept| &kept.tag)).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let date = headers::date(&headers);
        if let (StatusCode::NOT_MODIFIED, Some(kept)) = (status, kept) {
            return Ok(Page { date, ..kept.page });
        }
        if let Some(pause) = headers::pause(status, &headers) {
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
        let body = receive(url, response).await?;
        let page = Page { body, next: headers::next_page(&headers, &final_url), date };
        self.keep(url, headers.get(ETAG), &page);
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

    fn keep(&self, url: &Url, tag: Option<&HeaderValue>, page: &Page) {
        let Some(tag) = tag.filter(|_| page.body.len() <= KEPT_ANSWER_MAX) else {
            return;
        };
        let mut all = self.kept();
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.insert(url.clone(), Kept { tag: tag.clone(), page: page.clone() });
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Url, Kept>> {
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
    ForgeError::Unreachable { place: place(url), problem: describe(error) }
}

/// An address without its query, for people.
fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
