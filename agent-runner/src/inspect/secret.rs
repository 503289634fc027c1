//! Secrets in a text: values that this run knows, and what has the shape of a well-known key.
//!
//! Invariant: a hit says where and of what kind, never what. No marker in the text makes a hit go
//! away: whoever writes the text would write the marker as well.

mod named_file;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use api_client::Redactor;
use api_client::key_shape::{KeyFound, keys_in};

/// How much of a file's beginning tells whether it is text, in bytes; as git does it.
const BINARY_PROBE: usize = 8_000;

/// Something that must not be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// What it is, for people.
    pub(super) what: &'static str,
    /// Where in the text.
    pub(super) value: Range<usize>,
}

impl Hit {
    const fn overlaps(&self, other: &Self) -> bool {
        self.value.start < other.value.end && other.value.start < self.value.end
    }
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Search {
    /// Known values.
    KnownValues,
    /// Known values and shapes.
    Everything,
}

/// The text of a file: itself, or without its zero bytes if it is binary, so that UTF-16 can be read.
pub(super) fn readable(content: &[u8]) -> Cow<'_, [u8]> {
    match content[..content.len().min(BINARY_PROBE)].contains(&0) {
        true => Cow::Owned(content.iter().copied().filter(|byte| *byte != 0).collect()),
        false => Cow::Borrowed(content),
    }
}

/// All hits in a text, which is that of a file of this path, if of any.
pub(super) fn hits(known: &Redactor, path: Option<&str>, text: &[u8], search: Search) -> Vec<Hit> {
    let known =
        known.find(text).into_iter().map(|value| Hit { what: "a secret of this run", value });
    let mut hits: Vec<Hit> = known.collect();
    if matches!(search, Search::Everything) {
        let by_name = path.map(|path| named_file::hits(path, text)).unwrap_or_default();
        for hit in shapes_in(text).chain(by_name) {
            if !hits.iter().any(|other| other.overlaps(&hit)) {
                hits.push(hit);
            }
        }
    }
    hits
}

fn shapes_in(text: &[u8]) -> impl Iterator<Item = Hit> + '_ {
    keys_in(text).map(|KeyFound { what, value }| Hit { what, value })
}

/// A search for several values at once.
pub(super) struct AnyOf<'v> {
    matcher: AhoCorasick,
    values: Vec<&'v [u8]>,
}

impl<'v> AnyOf<'v> {
    /// Nothing where there are none, or too many for a search.
    pub(super) fn new(values: Vec<&'v [u8]>) -> Option<Self> {
        let matcher = AhoCorasick::new(&values).ok().filter(|_| !values.is_empty())?;
        Some(Self { matcher, values })
    }

    /// Adds the values that a text holds.
    pub(super) fn add_held(&self, text: &[u8], held: &mut HashSet<Vec<u8>>) {
        for found in self.matcher.find_overlapping_iter(text) {
            let value = self.values[found.pattern()];
            if !held.contains(value) {
                held.insert(value.to_vec());
            }
        }
    }
}

/// The line, from 1, that a place is in; none in what is not text.
pub(super) fn line_of(text: &[u8], at: usize) -> Option<usize> {
    let is_text = std::str::from_utf8(&text[..text.len().min(BINARY_PROBE)])
        .map_or_else(|error| error.error_len().is_none(), |_| true);
    is_text.then(|| 1 + text[..at].iter().filter(|byte| **byte == b'\n').count())
}

#[cfg(test)]
mod tests;
