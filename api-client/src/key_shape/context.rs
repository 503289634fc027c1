//! Secrets that are known by what stands around them: private keys in PEM, keys of AWS.

use std::ops::Range;

use super::shape::{Alphabet, entropy, is_placeholder, looks_random};

/// How far from the id of an AWS key its secret is looked for, in bytes.
const AWS_NEAR: usize = 300;

/// How much of an AWS secret's name and what assigns it may come before the value, in bytes.
const AWS_ASSIGNMENT_MAX: usize = 12;

/// How much of a PEM header may come before the key, in bytes (`Proc-Type` and `DEK-Info` among it).
const PEM_HEADER_MAX: usize = 240;

/// What a first line of a private key has of base64 at least, in bytes.
const PEM_LINE_MIN: usize = 40;

/// How far from its first line the end of a private key is looked for, in bytes. One of RSA with 16,384 bits has 12 KiB.
const PEM_MAX: usize = 16 << 10;

/// What may stand before a line of a key that is shown with numbers, as a quotation or as a change, in bytes.
const LINE_PREFIX_MAX: usize = 16;

const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";

/// What a private key is called.
pub(super) const PRIVATE_KEY: &str = "a private key";

/// A kind of surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// `BEGIN … PRIVATE KEY`.
    Pem,
    /// A file of PuTTY's.
    Putty,
    /// The id of a key of AWS, with a secret near it.
    AwsId,
    /// The name of a secret of AWS, with its value.
    AwsSecret,
}

/// What announces them.
pub(super) const CLUES: [(&str, Context); 10] = [
    ("-----BEGIN ", Context::Pem),
    ("Private-Lines: ", Context::Putty),
    ("AKIA", Context::AwsId),
    ("ASIA", Context::AwsId),
    ("ABIA", Context::AwsId),
    ("ACCA", Context::AwsId),
    ("secret_access_key", Context::AwsSecret),
    ("SECRET_ACCESS_KEY", Context::AwsSecret),
    ("secretAccessKey", Context::AwsSecret),
    ("SecretAccessKey", Context::AwsSecret),
];

impl Context {
    /// What it is, for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pem | Self::Putty => PRIVATE_KEY,
            Self::AwsId | Self::AwsSecret => "an AWS secret key",
        }
    }

    /// The secret that belongs to a clue, if there is one.
    pub(super) fn value_at(self, text: &[u8], clue: Range<usize>) -> Option<Range<usize>> {
        match self {
            Self::Pem => private_key(text, clue.end),
            Self::Putty => {
                let digits = text[clue.end..].iter().take_while(|byte| byte.is_ascii_digit());
                base64_run(text, clue.end + digits.count(), PEM_LINE_MIN)
            }
            Self::AwsId => {
                let id = run(text, clue.end, Alphabet::Upper);
                let from = clue.start.saturating_sub(AWS_NEAR);
                (id.len() == 16 && !is_placeholder(&text[id.clone()]))
                    .then(|| aws_secrets(text, from, id.end + AWS_NEAR).next())
                    .flatten()
            }
            Self::AwsSecret => aws_secrets(text, clue.end, clue.end + AWS_ASSIGNMENT_MAX + 40)
                .find(|value| value.start <= clue.end + AWS_ASSIGNMENT_MAX),
        }
    }
}

/// The first line of the private key whose header's label begins here.
fn private_key(text: &[u8], label: usize) -> Option<Range<usize>> {
    let header = &text[label..text.len().min(label + 40)];
    let end = header.windows(5).position(|dashes| dashes == b"-----")?;
    let label_text = std::str::from_utf8(&header[..end]).ok()?;
    let private = label_text.trim_end_matches(" BLOCK").ends_with("PRIVATE KEY");
    private.then(|| base64_run(text, label + end + 5, PEM_LINE_MIN)).flatten()
}

/// All lines of a private key whose first one is here, their line ends as they are or as a literal has them, with
/// what a listing writes before each. No escape is cut: the text may be JSON.
pub(super) fn all_lines(text: &[u8], first: &Range<usize>) -> Range<usize> {
    let is_escape = first.start > 0 && text[first.start - 1] == b'\\';
    let start = if is_escape { first.start + 1 } else { first.start };
    let mut end = footer(text, first.end).unwrap_or_else(|| end_of_lines(text, first.end));
    while let Some(line) = next_line(text, end) {
        end = end_of_lines(text, line.end);
    }
    start..end
}

/// Where the line begins that ends a key, if it is near and no other key begins before.
fn footer(text: &[u8], from: usize) -> Option<usize> {
    let near = &text[from..text.len().min(from + PEM_MAX)];
    let end = near.windows(PEM_END.len()).position(|found| found == PEM_END)?;
    let another = near[..end].windows(PEM_BEGIN.len()).any(|found| found == PEM_BEGIN);
    (!another).then_some(from + end)
}

/// The end of the lines of base64 that go on here.
fn end_of_lines(text: &[u8], from: usize) -> usize {
    let mut end = from;
    while let Some(byte) = text.get(end) {
        let backslashes = text[end..].iter().take_while(|byte| **byte == b'\\').count();
        end += match byte {
            b'\\' if matches!(text.get(end + backslashes), Some(b'n' | b'r')) => backslashes + 1,
            b'=' => 1,
            byte if Alphabet::Base64.has(*byte) || byte.is_ascii_whitespace() => 1,
            _ => break,
        };
    }
    end
}

/// A further line of a key of which no end is known, after a number or a sign.
fn next_line(text: &[u8], from: usize) -> Option<Range<usize>> {
    runs(text, from, from + LINE_PREFIX_MAX, Alphabet::Base64)
        .find(|found| found.len() >= PEM_LINE_MIN && looks_encoded(&text[found.clone()]))
}

/// The first long run of base64 soon after a place, which is no example.
fn base64_run(text: &[u8], from: usize, min: usize) -> Option<Range<usize>> {
    runs(text, from, from + PEM_HEADER_MAX, Alphabet::Base64)
        .find(|found| found.len() >= min && looks_encoded(&text[found.clone()]))
}

/// The lines of a key have zeros and fixed parts, so that they are less random than a token.
fn looks_encoded(line: &[u8]) -> bool {
    entropy(line) >= 3.0 && !is_placeholder(line)
}

/// Runs of the 40 characters that a secret of AWS has, and that are no hash.
fn aws_secrets(text: &[u8], from: usize, to: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    runs(text, from, to, Alphabet::Base64).filter(|found| {
        let value = &text[found.clone()];
        let is_hash = value.iter().all(u8::is_ascii_hexdigit);
        value.len() == 40 && !is_hash && entropy(value) >= 4.0 && looks_random(value)
    })
}

/// The runs of an alphabet that begin between two places.
fn runs(
    text: &[u8],
    from: usize,
    to: usize,
    alphabet: Alphabet,
) -> impl Iterator<Item = Range<usize>> + '_ {
    let to = to.min(text.len());
    let mut at = from;
    std::iter::from_fn(move || {
        at += text.get(at..to)?.iter().position(|byte| alphabet.has(*byte))?;
        let found = run(text, at, alphabet);
        at = found.end;
        Some(found)
    })
}

fn run(text: &[u8], at: usize, alphabet: Alphabet) -> Range<usize> {
    let length = text[at..].iter().take(4096).take_while(|byte| alphabet.has(**byte)).count();
    at..at + length
}
