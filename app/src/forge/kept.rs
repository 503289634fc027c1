//! Answers of before, which are asked for again by their tags.
//!
//! Invariant: they are bounded in bytes; what was not asked for the longest is forgotten first.

use std::collections::HashMap;

use reqwest::header::HeaderValue;
use url::Url;

use super::client::Page;

/// Largest answer that is kept, in bytes.
const ANSWER_MAX: usize = 256 << 10;
/// All that is kept for one repository, in bytes.
const ALL_MAX: usize = 8 << 20;

/// An answer that may be good for later too.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) tag: HeaderValue,
    pub(super) page: Page,
}

/// All that are kept, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: HashMap<Url, (Kept, u64)>,
    bytes: usize,
    uses: u64,
}

impl Cache {
    pub(super) fn get(&mut self, url: &Url) -> Option<Kept> {
        self.uses += 1;
        let (kept, used) = self.answers.get_mut(url)?;
        *used = self.uses;
        Some(kept.clone())
    }

    pub(super) fn put(&mut self, url: &Url, kept: Kept) {
        self.forget(url);
        let size = size(url, &kept);
        if size > ANSWER_MAX {
            return;
        }
        self.uses += 1;
        self.bytes += size;
        self.answers.insert(url.clone(), (kept, self.uses));
        while self.bytes > ALL_MAX {
            let oldest = self.answers.iter().min_by_key(|(_, (_, used))| *used);
            let Some(url) = oldest.map(|(url, _)| url.clone()) else { return };
            self.forget(&url);
        }
    }

    pub(super) fn forget(&mut self, url: &Url) {
        if let Some((kept, _)) = self.answers.remove(url) {
            self.bytes -= size(url, &kept);
        }
    }
}

fn size(url: &Url, kept: &Kept) -> usize {
    url.as_str().len() + kept.tag.len() + kept.page.body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_the_longest_is_forgotten_first() {
        let url = |n: usize| format!("https://h/{n}").parse::<Url>().unwrap();
        let kept = |size| Kept {
            tag: HeaderValue::from_static("t"),
            page: Page { body: vec![0; size], next: None, total: None, date: None },
        };
        let mut cache = Cache::default();
        let size = ALL_MAX / 40;
        for n in 0..39 {
            cache.put(&url(n), kept(size));
        }
        assert!(cache.get(&url(0)).is_some(), "39 pull requests are not too many");
        cache.put(&url(39), kept(size));
        assert!(cache.get(&url(0)).is_some() && cache.get(&url(1)).is_none());
        assert!(cache.bytes <= ALL_MAX);
        cache.put(&url(0), kept(ANSWER_MAX));
        assert!(cache.get(&url(0)).is_none(), "one that is too long, in place of an older one");
    }
}
