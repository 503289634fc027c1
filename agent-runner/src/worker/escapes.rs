//! Escapes of JSON that a text could do without.
//!
//! Invariant: what comes out means the same as JSON. An encoder may escape any character, or one and not
//! the next; so that a secret is found all the same, it is looked for in a line without such escapes.

use std::borrow::Cow;

/// A line with `\/` and escapes of printable ASCII as what they stand for; those of quotes and backslashes
/// stay.
pub(super) fn resolved(line: &str) -> Cow<'_, str> {
    if !line.contains("\\u") && !line.contains("\\/") {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        match escape(rest) {
            Some((c, length)) => {
                text.push(c);
                rest = &rest[length..];
            }
            None => {
                // The backslash and what it escapes: a second backslash begins nothing.
                let end = rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end);
                text.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character of a needless escape at the beginning of a text, and the length of that.
fn escape(text: &str) -> Option<(char, usize)> {
    if text.starts_with("\\/") {
        return Some(('/', 2));
    }
    let digits = text.strip_prefix("\\u00")?.get(..2)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let c = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).map(char::from)?;
    let is_plain = (' '..='~').contains(&c) && !matches!(c, '"' | '\\');
    is_plain.then_some((c, 6))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn needless_escapes_are_resolved_and_others_stay() {
        for (line, expected) in [
            (r#"{"a":"\u0067hp_\u0041"}"#, r#"{"a":"ghp_A"}"#),
            (r#""a\/b/c""#, r#""a/b/c""#),
            (
                r#""\u0022 \u005c \u000a \u00e4 \" \\ \n""#,
                r#""\u0022 \u005c \u000a \u00e4 \" \\ \n""#,
            ),
            (r#""\\u0067 \\\u0067 \\\\/""#, r#""\\u0067 \\g \\\\/""#),
            (r"\u00", r"\u00"),
            (r"\u00é \", r"\u00é \"),
            (r"\u00+1", r"\u00+1"),
            ("no escape", "no escape"),
        ] {
            assert_eq!(resolved(line), expected, "{line}");
        }
    }

    /// A text as a JSON string, with the escapes of an encoder that tosses a coin for each character.
    fn encoded(text: &str, coins: &[bool]) -> String {
        let escaped = |(c, coin): (char, &bool)| match c {
            '/' if *coin => "\\/".to_owned(),
            _ if *coin => {
                c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect()
            }
            _ => serde_json::to_string(&c).unwrap().trim_matches('"').to_owned(),
        };
        let inner: String = text.chars().zip(coins.iter().cycle()).map(escaped).collect();
        format!("\"{inner}\"")
    }

    proptest! {
        #[test]
        fn the_meaning_stays_the_same(
            text in "[a-z/\\\\\n\u{e4}\u{1f600}0-9u]{0,40}",
            coins in proptest::collection::vec(any::<bool>(), 1..40),
        ) {
            let line = encoded(&text, &coins);
            let meaning: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&meaning, &Value::from(text.as_str()));
            prop_assert_eq!(serde_json::from_str::<Value>(&resolved(&line)).unwrap(), meaning);
        }

        #[test]
        fn any_text_is_taken(text in "(\\\\|u|0|6|7|/|\u{e4}|\"){0,30}") {
            let _resolved = resolved(&text);
        }

        #[test]
        fn a_secret_is_hidden_however_its_characters_are_escaped(
            secret in "[A-Za-z0-9/_+-]{12,40}",
            coins in proptest::collection::vec(any::<bool>(), 1..40),
        ) {
            let redactor = api_client::Redactor::new([&api_client::Secret::from(secret.as_str())]);
            let line = format!("{{\"text\":{}}}", encoded(&secret, &coins));
            let out = redactor.redact(&resolved(&line)).into_owned();
            prop_assert_eq!(out, "{\"text\":\"[redacted]\"}");
        }
    }
}
