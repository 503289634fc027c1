//! The forms in which a value turns up in logs and bodies.
//!
//! Encoders differ in what they escape and how they write it, so that a value with other characters
//! than letters and digits has many forms; one without has few.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{
    GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD,
};
use url::Url;

use super::MIN_REDACTED_LEN;

/// The shortest line of a value of several lines that is hidden by itself, in bytes. Logs are read and
/// cut by lines.
const LINE_MIN: usize = 16;

/// The shortest text, in characters, that is taken for random, and how many different ones it has.
const RANDOM_MIN: usize = 12;
const RANDOM_DISTINCT_MIN: usize = 8;

/// How the digits of an escape are written.
#[derive(Clone, Copy)]
enum Digits {
    Lower,
    Upper,
}

impl Digits {
    const BOTH: [Self; 2] = [Self::Lower, Self::Upper];
}

/// All forms of a value that are long enough to be searched for.
pub(super) fn forms(value: &str) -> Vec<String> {
    with_parts(value, |_| true)
}

/// The same, with no part of the value that may be a word of everybody's.
pub(super) fn whole_forms(value: &str) -> Vec<String> {
    with_parts(value, looks_random)
}

fn with_parts(value: &str, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let mut forms = of_text(value);
    let passwords = password_of(value).into_iter().filter(|password| counts(password));
    forms.extend(passwords.flat_map(|password| of_text(&password)));
    if value.contains('\n') {
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= LINE_MIN);
        forms.extend(lines.filter(|line| counts(line)).map(str::to_owned));
    }
    forms.retain(|form| form.len() >= MIN_REDACTED_LEN);
    forms
}

/// Whether a text looks as if a machine had made it: one piece of letters and digits, long and varied
/// enough that nobody else would write it.
pub(crate) fn looks_random(text: &str) -> bool {
    let mut seen: Vec<char> = text.chars().collect();
    let length = seen.len();
    seen.sort_unstable();
    seen.dedup();
    length >= RANDOM_MIN
        && seen.len() >= RANDOM_DISTINCT_MIN
        && seen.iter().any(char::is_ascii_digit)
        && seen.iter().any(char::is_ascii_alphabetic)
        && !seen.iter().any(|c| c.is_whitespace())
}

fn of_text(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    forms.extend(url_encoded(value));
    forms.extend(json_escaped(value));
    forms.extend(base64(value));
    forms.push(value.bytes().map(|byte| format!("{byte:02x}")).collect());
    forms.push(value.bytes().map(|byte| format!("{byte:02X}")).collect());
    forms
}

/// With `%XX`: by form encoding, by `encodeURIComponent`, by RFC 3986, as part of a path, or all of it.
fn url_encoded(value: &str) -> Vec<String> {
    const UNESCAPED: [&str; 6] =
        ["*-._", "-_.!~*'()", "-._~", "-._~/", "-._~!$&'()*+,;=:@", "-._~!$&'()*+,;=:@/?"];
    let mut forms = Vec::new();
    for digits in Digits::BOTH {
        forms.push(percent(value, digits, |_| false));
        for unescaped in UNESCAPED {
            let keeps = |c: char| c.is_ascii_alphanumeric() || unescaped.contains(c);
            let form = percent(value, digits, keeps);
            forms.push(form.replace("%20", "+"));
            forms.push(form);
        }
    }
    forms
}

fn percent(value: &str, digits: Digits, keeps: impl Fn(char) -> bool) -> String {
    let mut form = String::new();
    for c in value.chars() {
        if keeps(c) {
            form.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a string does not fail.
            let _written = match digits {
                Digits::Lower => write!(form, "%{byte:02x}"),
                Digits::Upper => write!(form, "%{byte:02X}"),
            };
        }
    }
    form
}

/// As part of a JSON text: with the least escapes, with `\/`, with `\uXXXX` for all but ASCII, for what
/// HTML would take for its own, or for every character; and each of that within JSON once more.
fn json_escaped(value: &str) -> Vec<String> {
    const HTML: [&str; 3] = ["", "<>&", "<>&'\"+`"];
    let mut forms = Vec::new();
    for digits in Digits::BOTH {
        forms.push(json(value, digits, &|_| true));
        for html in HTML {
            for keep_others in [true, false] {
                let escaped = |c: char| html.contains(c) || !(keep_others || c.is_ascii());
                let form = json(value, digits, &escaped);
                forms.push(form.replace('/', "\\/"));
                forms.push(form);
            }
        }
    }
    let twice: Vec<String> =
        forms.iter().map(|form| json(form, Digits::Lower, &|_| false)).collect();
    forms.extend(twice);
    forms
}

fn json(value: &str, digits: Digits, escaped: &dyn Fn(char) -> bool) -> String {
    let mut form = String::new();
    for c in value.chars() {
        match c {
            _ if escaped(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _written = match digits {
                        Digits::Lower => write!(form, "\\u{unit:04x}"),
                        Digits::Upper => write!(form, "\\u{unit:04X}"),
                    };
                }
            }
            '"' => form.push_str("\\\""),
            '\\' => form.push_str("\\\\"),
            '\n' => form.push_str("\\n"),
            '\r' => form.push_str("\\r"),
            '\t' => form.push_str("\\t"),
            '\u{8}' => form.push_str("\\b"),
            '\u{c}' => form.push_str("\\f"),
            _ if c.is_control() && c.is_ascii() => {
                form.push_str(&json(c.encode_utf8(&mut [0; 4]), digits, &|_| true));
            }
            _ => form.push(c),
        }
    }
    form
}

/// By itself, and within a longer text that is encoded.
fn base64(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for engine in [STANDARD, URL_SAFE] {
        let form = engine.encode(value);
        // In a URL, the characters of base64 are escaped in their turn.
        forms.extend(Digits::BOTH.map(|digits| {
            percent(&form, digits, |c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        }));
        forms.push(form.replace('/', "\\/"));
        forms.push(form);
    }
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.push(engine.encode(value));
        forms.extend((0..3).map(|offset| base64_within(&engine, value, offset)));
    }
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

/// The password in a value that is a URL, or a proxy's `user:password@host:port`: as it stands there, and
/// what it means.
fn password_of(value: &str) -> Vec<String> {
    let url = if value.contains("://") {
        Url::parse(value).ok()
    } else {
        Url::parse(&format!("http://{value}")).ok()
    };
    let Some(written) = url.as_ref().and_then(Url::password) else {
        return Vec::new();
    };
    vec![written.to_owned(), decoded(written)]
}

fn decoded(text: &str) -> String {
    // `+` is no space in a password: it is kept by being escaped.
    let query = format!("={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}
