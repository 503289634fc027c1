//! Taking out what must not be seen by those who get a bundle: secrets that are known now, keys by their
//! shape, and user names and passwords in URLs.

use std::borrow::Cow;

use api_client::key_shape::without_keys;
use api_client::{REDACTED, Redactor};
use serde_json::Value;

/// What is taken out.
#[derive(Debug)]
pub(super) struct Redaction(Redactor);

impl Redaction {
    pub(super) const fn new(known: Redactor) -> Self {
        Self(known)
    }

    /// A text without it, and in how many places there was something.
    pub(super) fn text(&self, text: &str) -> (String, usize) {
        let values = self.0.find(text.as_bytes());
        let known = if values.is_empty() { Cow::Borrowed(text) } else { self.0.redact(text) };
        let (without, keys) = without_keys(&known);
        let (without, logins) = without_logins(&without);
        (without, values.len() + keys + logins)
    }

    /// The same for every text of a value. The names of fields are ours.
    pub(super) fn value(&self, value: &mut Value) -> usize {
        match value {
            Value::String(text) => {
                let (without, count) = self.text(text);
                *text = without;
                count
            }
            Value::Array(values) => values.iter_mut().map(|value| self.value(value)).sum(),
            Value::Object(fields) => fields.values_mut().map(|value| self.value(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }

    /// The same for JSON lines: looked for in their texts, not in their JSON. What is none is a text.
    pub(super) fn json_lines(&self, lines: &str) -> (String, usize) {
        let (mut all, mut count) = (String::with_capacity(lines.len()), 0);
        for line in lines.split_inclusive('\n') {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |whole| (whole, "\n"));
            let (without, found) = match serde_json::from_str::<Value>(line) {
                Ok(mut value) => {
                    let found = self.value(&mut value);
                    (value.to_string(), found)
                }
                Err(_) => self.text(line),
            };
            all.push_str(&without);
            // A last line that was cut stays one, by which a reader knows it.
            all.push_str(end);
            count += found;
        }
        (all, count)
    }
}

/// The longest user name of a URL that is left, in bytes. A longer one may be a token: forges take it without a password.
const USER_NAME_MAX: usize = 15;

/// A text without what stands before the `@` of a URL, where that has a password or is as long as a token, and how
/// often there was one.
fn without_logins(text: &str) -> (String, usize) {
    const ENDS: [char; 9] = ['/', '?', '#', '"', '\'', '`', '<', '>', '\\'];
    let (mut out, mut rest, mut count) = (String::with_capacity(text.len()), text, 0);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || ENDS.contains(&c));
        let authority = &after[..end.unwrap_or(after.len())];
        rest = match authority.rsplit_once('@') {
            Some((login, _))
                if (login.contains(':') || login.len() > USER_NAME_MAX) && login != REDACTED =>
            {
                out.push_str(REDACTED);
                count += 1;
                &after[login.len()..]
            }
            _ => after,
        };
    }
    out.push_str(rest);
    (out, count)
}

#[cfg(test)]
mod tests {
    use api_client::Secret;
    use serde_json::json;

    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(Redactor::new([&Secret::from("pl\"anted-secret")]))
    }

    #[test]
    fn known_values_keys_and_logins_are_taken_out_and_counted() {
        let key = format!("sk-ant-{}", "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC3dE5f");
        let text =
            format!("a pl\"anted-secret, {key} and https://me:pass@host/x https://me@h/ x://y");
        let without = "a [redacted], [redacted] and https://[redacted]@host/x https://me@h/ x://y";
        assert_eq!(redaction().text(&text), (without.to_owned(), 3));
    }

    #[test]
    fn a_token_that_is_the_user_of_a_url_is_taken_out() {
        let text =
            "git clone https://0123456789abcdef0123456789abcdef01234567@forge/x ssh://git@forge";
        let without = "git clone https://[redacted]@forge/x ssh://git@forge";
        assert_eq!(redaction().text(text), (without.to_owned(), 1));
    }

    #[test]
    fn a_line_that_was_cut_stays_one_that_was_cut() {
        let lines = "{\"a\":1}\n{\"b\":";
        assert_eq!(redaction().json_lines(lines), (lines.to_owned(), 0));
    }

    #[test]
    fn secrets_are_found_in_json_within_json() {
        let event = json!({"type": "text", "text": "it is pl\"anted-secret"}).to_string();
        let lines =
            json!({"record": "line", "text": event}).to_string() + "\nno pl\"anted-secret\n";
        let (without, count) = redaction().json_lines(&lines);
        assert_eq!(count, 2);
        assert!(!without.contains("anted-secret"), "{without}");
        let first: Value = serde_json::from_str(without.lines().next().unwrap()).unwrap();
        let event: Value = serde_json::from_str(first["text"].as_str().unwrap()).unwrap();
        assert_eq!(event["text"], "it is [redacted]");
    }
}
