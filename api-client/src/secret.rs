//! Values that must not be seen, and their removal from everything that leaves the process.
//!
//! Invariant: a [`Secret`] has no `Display` and a `Debug` that shows nothing; its text is reached
//! by [`Secret::expose`] alone, so that every place where a secret is used can be found by name.

pub(crate) mod form;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// Values shorter than this (bytes) are not redacted: they occur by chance in ordinary text
/// ("dummy", "none"), and no real key is as short.
pub const MIN_REDACTED_LEN: usize = 8;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// A value that cannot be printed. Its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself. Every call is a place where the secret can leak: hand it on at once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether nothing but white space was given, which counts as "not set".
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.expose().trim().is_empty()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Replaces known secret values: plain, and as base64, URL encoding, JSON and hexadecimal have them.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Known,
    /// What is searched for, sorted, for the question whether a text may end within a secret.
    forms: Arc<[String]>,
    /// Length of the longest form, in bytes.
    longest: usize,
}

#[derive(Clone, Default)]
enum Known {
    #[default]
    Nothing,
    Secrets(Arc<AhoCorasick>),
    /// More than can be searched for: everything is hidden.
    TooMuch,
}

impl Redactor {
    /// A redactor of these values; those shorter than [`MIN_REDACTED_LEN`] are left out.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self::of_values(secrets, form::forms)
    }

    /// The same, but of parts of a value (the password in a URL, a line of several) only those that
    /// look like a key: for who refuses a text instead of hiding a word in it.
    #[must_use]
    pub fn of_whole<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self::of_values(secrets, form::whole_forms)
    }

    fn of_values<'a>(
        secrets: impl IntoIterator<Item = &'a Secret>,
        forms: impl Fn(&str) -> Vec<String>,
    ) -> Self {
        let forms = secrets
            .into_iter()
            .map(|secret| secret.expose().trim())
            .filter(|value| value.len() >= MIN_REDACTED_LEN)
            .flat_map(forms)
            .collect();
        Self::of_forms(forms)
    }

    /// The same for these values as well.
    #[must_use]
    pub fn and<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let more = Self::new(secrets);
        Self::of_forms(self.forms.iter().chain(more.forms.iter()).cloned().collect())
    }

    fn of_forms(mut forms: Vec<String>) -> Self {
        forms.sort();
        forms.dedup();
        let matcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
        let known = match matcher {
            _ if forms.is_empty() => Known::Nothing,
            Ok(matcher) => Known::Secrets(Arc::new(matcher)),
            Err(_) => Known::TooMuch,
        };
        let longest = forms.iter().map(String::len).max().unwrap_or(0);
        Self { known, forms: forms.into(), longest }
    }

    /// `text` with every known secret replaced by [`REDACTED`].
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.known {
            Known::TooMuch => Cow::Borrowed(REDACTED),
            Known::Secrets(matcher) if matcher.is_match(text) => {
                let mut out = String::with_capacity(text.len());
                matcher.replace_all_with(text, &mut out, |_, _, out| {
                    out.push_str(REDACTED);
                    true
                });
                Cow::Owned(out)
            }
            Known::Nothing | Known::Secrets(_) => Cow::Borrowed(text),
        }
    }

    /// Where known secrets are in these bytes, in any of their forms, from first to last.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        match &self.known {
            Known::Nothing => Vec::new(),
            Known::TooMuch => std::iter::once(0..bytes.len()).collect(),
            Known::Secrets(matcher) => {
                matcher.find_iter(bytes).map(|found| found.range()).collect()
            }
        }
    }

    /// Where the end of a text may be the beginning of a secret; its length, if nowhere.
    fn secret_begun_at(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest.saturating_sub(1));
        // Of sorted forms, those that begin with a text follow it.
        let begins = |end: &[u8]| {
            let at = self.forms.partition_point(|form| form.as_bytes() <= end);
            self.forms.get(at).is_some_and(|form| form.as_bytes().starts_with(end))
        };
        (first..text.len()).find(|at| begins(&text[*at..])).unwrap_or(text.len())
    }

    /// A redactor of a byte stream that arrives in pieces.
    #[must_use]
    pub fn stream(&self) -> StreamRedactor {
        StreamRedactor { redactor: self.clone(), held: Vec::new() }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

/// Redacts across the borders of pieces: holds back an end that may be the beginning of a secret,
/// and nothing else, so that a log can be followed as it grows.
#[derive(Debug)]
pub struct StreamRedactor {
    redactor: Redactor,
    held: Vec<u8>,
}

impl StreamRedactor {
    /// Hides these values as well, from the next piece on.
    pub fn learn<'a>(&mut self, secrets: impl IntoIterator<Item = &'a Secret>) {
        self.redactor = self.redactor.and(secrets);
    }

    /// Takes the next piece, returns what can be let out by now.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let limit = self.redactor.secret_begun_at(&self.held);
        self.release(limit)
    }

    /// Lets out the rest, at the end of the stream; another may follow.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.release(self.held.len())
    }

    /// Lets out the first `limit` bytes, or more where a match reaches beyond.
    fn release(&mut self, limit: usize) -> Vec<u8> {
        let matcher = match &self.redactor.known {
            Known::Nothing => return std::mem::take(&mut self.held),
            Known::TooMuch => {
                self.held.clear();
                return Vec::new();
            }
            Known::Secrets(matcher) => matcher,
        };
        let mut out = Vec::with_capacity(limit);
        let mut done = 0;
        for found in matcher.find_iter(&self.held) {
            // A match that starts in what is held back may grow with the next piece.
            if found.start() >= limit {
                break;
            }
            out.extend_from_slice(&self.held[done..found.start()]);
            out.extend_from_slice(REDACTED.as_bytes());
            done = found.end();
        }
        if done < limit {
            out.extend_from_slice(&self.held[done..limit]);
            done = limit;
        }
        self.held.drain(..done);
        out
    }
}

#[cfg(test)]
mod tests;
