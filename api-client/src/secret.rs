//! Values that must not be seen, and their removal from everything that leaves the process.
//!
//! Invariant: a [`Secret`] has no `Display` and a `Debug` that shows nothing; its text is reached
//! by [`Secret::expose`] alone, so that every place where a secret is used can be found by name.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{
    GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

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

/// Replaces known secret values, in plain, base64, URL-encoded and JSON-escaped form.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Known,
    /// What is searched for, for the question whether a text may end within a secret.
    forms: Arc<[String]>,
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
        let forms = secrets
            .into_iter()
            .map(|secret| secret.expose().trim())
            .filter(|value| value.len() >= MIN_REDACTED_LEN)
            .flat_map(encodings)
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
        Self { known, forms: forms.into() }
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
        let longest = self.forms.iter().map(String::len).max().unwrap_or(0);
        let first = text.len().saturating_sub(longest.saturating_sub(1));
        let begins = |end: &[u8]| {
            self.forms.iter().any(|form| form.len() > end.len() && form.as_bytes().starts_with(end))
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

/// The forms in which a value turns up in logs and bodies.
fn encodings(value: &str) -> Vec<String> {
    let url_encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let percent_encoded = url_encoded.replace('+', "%20");
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut forms = vec![value.to_owned(), url_encoded, percent_encoded];
    forms.push(json.trim_matches('"').to_owned());
    for engine in [STANDARD, URL_SAFE] {
        forms.push(engine.encode(value));
    }
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.extend((0..3).map(|offset| base64_within(&engine, value, offset)));
    }
    forms.extend(password_of(value));
    forms.retain(|form| form.len() >= MIN_REDACTED_LEN);
    forms
}

/// The characters of a base64 text that stand for `value` alone when `offset` bytes (modulo 3) come
/// before it, as a user name does in HTTP Basic authentication.
fn base64_within(engine: &GeneralPurpose, value: &str, offset: usize) -> String {
    let bytes = [&[0; 2][..offset], value.as_bytes()].concat();
    let whole = bytes.len() * 8 / 6;
    let first = (offset * 8).div_ceil(6);
    engine.encode(&bytes).chars().take(whole).skip(first).collect()
}

/// The password in a value that is a URL.
fn password_of(value: &str) -> Option<String> {
    Url::parse(value).ok()?.password().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "ghp_s3cr3t/with+\"quotes\" and = signs";

    fn redactor() -> Redactor {
        Redactor::new([&Secret::from(TOKEN), &Secret::from("second-key-42")])
    }

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Some(Secret::from(TOKEN))), "Some(Secret(***))");
    }

    #[test]
    fn every_encoding_of_a_secret_is_redacted() {
        for form in encodings(TOKEN) {
            let text = format!("before {form} after");
            assert_eq!(redactor().redact(&text), "before [redacted] after", "{form}");
        }
    }

    #[test]
    fn a_secret_is_found_where_it_is_whatever_surrounds_it() {
        let mut bytes = vec![0xff, 0x00];
        bytes.extend_from_slice(STANDARD.encode(TOKEN).as_bytes());
        bytes.push(b'\n');
        let found = redactor().find(&bytes);
        assert!(matches!(&found[..], [one] if one.start == 2), "{found:?}");
        assert!(redactor().find(b"nothing of that kind").is_empty());
    }

    #[test]
    fn a_token_in_basic_authentication_is_redacted_whatever_the_user_name() {
        for user in ["", "x", "me", "x-access-token"] {
            let header = STANDARD.encode(format!("{user}:{TOKEN}"));
            let left = redactor().redact(&header).replace(REDACTED, "");
            assert!(left.len() < header.len() - TOKEN.len(), "{user}: {left}");
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_redacted_by_itself_as_well() {
        let redactor = Redactor::new([&Secret::from("http://me:proxy-pass-1@proxy:3128")]);
        assert_eq!(redactor.redact("407 for proxy-pass-1"), "407 for [redacted]");
    }

    #[test]
    fn short_values_are_left_alone() {
        let redactor = Redactor::new([&Secret::from("dummy"), &Secret::from("  ")]);
        assert_eq!(redactor.redact("a dummy  value"), "a dummy  value");
    }

    #[test]
    fn a_line_that_holds_no_secret_is_let_out_at_once() {
        let mut stream = redactor().stream();
        assert_eq!(stream.push(b"step 1 done\n"), b"step 1 done\n");
        assert_eq!(stream.push(b"token: ghp_s3"), b"token: ");
        assert_eq!(stream.push(b"ven\n"), b"ghp_s3ven\n");
    }

    #[test]
    fn a_stream_learns_secrets_while_it_flows_and_forgets_none() {
        let mut stream = redactor().stream();
        assert_eq!(stream.push(b"new-token-1 "), b"new-token-1 ");
        stream.learn([&Secret::from("new-token-1")]);
        let out = stream.push(format!("new-token-1 {TOKEN}\n").as_bytes());
        assert_eq!(out, b"[redacted] [redacted]\n");
    }

    proptest! {
        #[test]
        fn a_secret_is_redacted_wherever_the_stream_is_cut(
            cuts in proptest::collection::vec(1usize..9, 1..40),
            before in "[a-z ]{0,20}",
            after in "[a-z ]{0,20}",
        ) {
            let text = format!("{before}{TOKEN}{after}second-key-42{TOKEN}{before}");
            let expected = redactor().redact(&text).into_owned();
            let mut stream = redactor().stream();
            let mut out = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                out.extend(stream.push(piece));
                rest = tail;
            }
            out.extend(stream.finish());
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
