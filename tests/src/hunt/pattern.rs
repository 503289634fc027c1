//! The forms in which a secret can stand somewhere, and the search for all of them at once.
//!
//! What is searched is the middle of a value: so a value that was cut is found too, and one that is
//! part of something longer, as in `Basic` credentials, looks the same whatever is around it.

use std::collections::BTreeSet;
use std::io::{self, Read};

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

use super::secret::Secret;

/// Characters at each end that may be missing.
const MARGIN: usize = 6;

const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, NO_PAD);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD);

/// Finds secrets.
#[derive(Debug)]
pub(crate) struct Matcher {
    automaton: AhoCorasick,
    /// What each pattern of the automaton is.
    meanings: Vec<Match>,
}

/// What was found: which secret, by its name, in which form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match {
    pub(crate) secret: String,
    pub(crate) form: &'static str,
}

impl Matcher {
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let (mut patterns, mut meanings) = (BTreeSet::new(), Vec::new());
        let mut ordered = Vec::new();
        for secret in secrets {
            for (form, pattern) in forms(middle(&secret.value)) {
                if patterns.insert(pattern.clone()) {
                    ordered.push(pattern);
                    meanings.push(Match { secret: secret.name.clone(), form });
                }
            }
        }
        let automaton = AhoCorasick::new(&ordered).expect("a few hundred patterns");
        Self { automaton, meanings }
    }

    /// Everything that is found in what `reader` brings, and how many bytes that were.
    pub(crate) fn search(&self, reader: impl Read) -> io::Result<(BTreeSet<Match>, u64)> {
        let mut counted = Counted { reader, bytes: 0 };
        let mut found = BTreeSet::new();
        for one in self.automaton.stream_find_iter(&mut counted) {
            found.insert(self.meanings[one?.pattern().as_usize()].clone());
        }
        Ok((found, counted.bytes))
    }
}

struct Counted<R> {
    reader: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

fn middle(value: &str) -> &str {
    &value[MARGIN..value.len() - MARGIN]
}

/// All forms of a text, each with a name. Some are the same for texts without signs.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let each =
        |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<String>();
    let mut forms = vec![
        ("as it is", text.to_owned()),
        ("backwards", text.chars().rev().collect()),
        ("hexadecimal", each(&|byte| format!("{byte:02x}"))),
        ("hexadecimal", each(&|byte| format!("{byte:02X}"))),
        ("percent", each(&|byte| format!("%{byte:02x}"))),
        ("percent", each(&|byte| format!("%{byte:02X}"))),
        ("percent", url::form_urlencoded::byte_serialize(bytes).collect()),
        ("JSON", serde_json::Value::from(text).to_string().trim_matches('"').to_owned()),
        ("JSON", each(&|byte| format!("\\u{byte:04x}"))),
        ("quoted", format!("{text:?}").trim_matches('"').to_owned()),
        ("shell", each(&|byte| escaped(byte))),
        ("HTML", text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")),
    ];
    for engine in [STANDARD, URL_SAFE] {
        forms.extend((0..3).map(|before| ("base64", base64_within(&engine, bytes, before))));
    }
    let mut forms: Vec<_> =
        forms.into_iter().map(|(name, form)| (name, form.into_bytes())).collect();
    forms.push(("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    forms.push(("UTF-16", text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
    forms
}

/// A character as a shell reads it outside of quotes.
fn escaped(byte: u8) -> String {
    let sign = if byte.is_ascii_alphanumeric() || b"%+-/_".contains(&byte) { "" } else { "\\" };
    format!("{sign}{}", char::from(byte))
}

/// How these bytes look in base64 when so many bytes stand before them: only the digits that depend
/// on nothing around them.
fn base64_within(engine: &GeneralPurpose, bytes: &[u8], before: usize) -> String {
    let text = engine.encode([&vec![0; before], bytes].concat());
    let begin = (before * 8).div_ceil(6);
    let end = (before + bytes.len()) * 8 / 6;
    text[begin..end].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;

    use super::*;

    const VALUE: &str = "a\"1/+%<&>kB7wQz0pLmN4xYc2RtUv";

    fn found(text: &[u8]) -> Vec<&'static str> {
        let secret = Secret { name: "it".to_owned(), value: VALUE.to_owned() };
        let (found, bytes) = Matcher::new(&[secret]).search(text).unwrap();
        assert_eq!(bytes, text.len() as u64);
        found.into_iter().map(|one| one.form).collect()
    }

    #[test]
    fn a_value_is_found_in_every_form() {
        let hexadecimal: String = VALUE.bytes().map(|byte| format!("{byte:02X}")).collect();
        let backwards: String = VALUE.chars().rev().collect();
        let in_url: String = url::form_urlencoded::byte_serialize(VALUE.as_bytes()).collect();
        let wide: Vec<u8> = VALUE.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let inner = &VALUE[3..VALUE.len() - 3];
        for (form, text) in [
            ("as it is", format!("x{VALUE}y").into_bytes()),
            ("as it is", inner.as_bytes().to_owned()),
            ("backwards", backwards.into_bytes()),
            ("hexadecimal", hexadecimal.into_bytes()),
            ("percent", in_url.into_bytes()),
            ("UTF-16", wide),
        ] {
            assert!(found(&text).contains(&form), "{form}");
        }
        assert!(found(serde_json::to_string(VALUE).unwrap().as_bytes()).contains(&"as it is"));
    }

    #[test]
    fn base64_is_found_whatever_stands_around_the_value() {
        for before in ["", "u:", "xy:", "x-access-token:"] {
            for after in ["", "\n", "yz"] {
                let text = format!("{before}{VALUE}{after}");
                for engine in [general_purpose::STANDARD, general_purpose::URL_SAFE_NO_PAD] {
                    assert_eq!(found(engine.encode(&text).as_bytes()), ["base64"], "{text}");
                }
            }
        }
    }

    #[test]
    fn another_value_is_not_found() {
        assert_eq!(found(&VALUE.to_lowercase().into_bytes()), [""; 0]);
        assert_eq!(found(b""), [""; 0]);
    }
}
