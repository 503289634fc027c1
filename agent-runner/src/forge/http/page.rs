//! Where a list goes on. Pure.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// The query of the next page, by the `Link` header or by GitLab's `x-next-page`. Of a link nothing
/// else is taken: it may be written for another name of the forge.
pub(super) fn next_page(headers: &HeaderMap, url: &Url) -> Option<String> {
    if let Some(link) = headers.get(LINK).and_then(|link| link.to_str().ok()) {
        let next = link.split(", ").find(|link| link.contains("rel=\"next\""))?;
        let target = next.trim().strip_prefix('<')?.split('>').next()?;
        return url.join(target).ok()?.query().map(str::to_owned);
    }
    let page = headers.get("x-next-page")?.to_str().ok()?.trim().parse::<u64>().ok()?;
    query_of_page(url, usize::try_from(page).ok()?)
}

/// The query of a list's page by its number, from 1.
pub(super) fn query_of_page(url: &Url, page: usize) -> Option<String> {
    let mut url = url.clone();
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "page")
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &page.to_string());
    url.query().map(str::to_owned)
}

/// How many entries a list has in all: of some lists Gitea tells no more than that.
pub(super) fn total(headers: &HeaderMap) -> Option<usize> {
    headers.get("x-total-count")?.to_str().ok()?.trim().parse().ok()
}
