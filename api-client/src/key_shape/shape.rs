//! What a key of a well-known kind looks like, and what keeps an example from passing for one.

use std::ops::{Range, RangeInclusive};

/// The least Shannon entropy of a key, in bits for each character. Random text of 20 characters or
/// more has well over 3.3 in every alphabet used here; words and paddings have less.
const ENTROPY_MIN: f64 = 3.0;

/// More of one character, or of characters in a row, than a random key has.
const RUN_MAX: usize = 5;

/// Words of examples and placeholders, in lower case.
const PLACEHOLDERS: [&str; 10] = [
    "example",
    "placeholder",
    "your",
    "dummy",
    "fake",
    "sample",
    "redacted",
    "changeme",
    "xxxx",
    "insert",
];

/// Which characters a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits, `_` and `-`.
    Word,
    /// The same and `.`.
    Dotted,
    /// Letters, digits, `/` and `+`.
    Base64,
    /// The same and `=`, `_` and `-`: any base64 with its end.
    Padded,
    /// Letters, digits, `_`, `-` and `/`.
    Path,
    /// Letters, digits, `_`, `~`, `.` and `-`.
    Unreserved,
    /// Lower-case hexadecimal digits.
    Hex,
    /// The same and `_` or `-`.
    HexGroups,
    /// Capital letters and digits.
    Upper,
}

impl Alphabet {
    /// Whether it has this character.
    pub(super) fn has(self, byte: u8) -> bool {
        let extra: &[u8] = match self {
            Self::Alphanumeric => b"",
            Self::Word => b"_-",
            Self::Dotted => b"_-.",
            Self::Base64 => b"+/",
            Self::Padded => b"+/=_-",
            Self::Path => b"_-/",
            Self::Unreserved => b"_~.-",
            Self::Hex => return matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Self::HexGroups => return matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'_' | b'-'),
            Self::Upper => return byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        };
        byte.is_ascii_alphanumeric() || extra.contains(&byte)
    }
}

/// How a key of a kind is told from text that looks like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It looks random.
    Random,
    /// One of exactly 36 characters ends with its own checksum; a longer one looks random.
    Checksum,
}

/// The shape of one kind of key.
#[derive(Debug)]
pub(super) struct Shape {
    /// What it is, for people, with its article.
    pub(super) name: &'static str,
    /// What announces it, exactly; a part of the key.
    pub(super) clues: &'static [&'static str],
    /// How many characters of the key come before the clue.
    pub(super) lead: usize,
    /// What it is made of but for the clue.
    pub(super) alphabet: Alphabet,
    /// How many characters come after the clue.
    pub(super) length: RangeInclusive<usize>,
    /// What makes it certain.
    pub(super) proof: Proof,
}

impl Shape {
    /// The key around a clue, if there is one.
    pub(super) fn value_at(&self, text: &[u8], clue: Range<usize>) -> Option<Range<usize>> {
        let start = clue.start.checked_sub(self.lead)?;
        let lead = &text[start..clue.start];
        if !lead.iter().all(|byte| self.alphabet.has(*byte)) || !begins_word(text, start) {
            return None;
        }
        let body = self.body(&text[clue.end..])?;
        let end = clue.end + body.len();
        if text.get(end).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        let proven = match self.proof {
            Proof::Checksum if body.len() == 36 => has_checksum(body),
            Proof::Checksum | Proof::Random => looks_random(&[lead, body].concat()),
        };
        proven.then_some(start..end)
    }

    /// What follows the clue, as far as the alphabet goes and without the end of a sentence.
    fn body<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let run = text.iter().take(4096).take_while(|byte| self.alphabet.has(**byte)).count();
        let ends_key = |byte: &u8| !matches!(byte, b'.' | b'-' | b'/');
        let run = text[..run].iter().rposition(ends_key).map_or(0, |last| last + 1);
        self.length.contains(&run).then(|| &text[..run])
    }
}

/// Whether no word goes on here. A letter that is part of `\n` or `\t` in a literal is none.
fn begins_word(text: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|last| text[last]) else {
        return true;
    };
    let escaped = at >= 2 && text[at - 2] == b'\\' && matches!(before, b'n' | b'r' | b't');
    escaped || !(before.is_ascii_alphanumeric() || before == b'_')
}

/// Whether this could be a key: mixed characters, as even as chance makes them, no word of an example.
#[must_use]
pub fn looks_random(value: &[u8]) -> bool {
    let classes = [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
    let mixed = classes.iter().filter(|class| value.iter().any(class)).count() >= 2;
    mixed && entropy(value) >= ENTROPY_MIN && !has_run(value) && !is_placeholder(value)
}

/// Whether it holds a word of examples.
#[must_use]
pub fn is_placeholder(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| text.contains(word))
}

/// Shannon's entropy, in bits for each character.
pub(super) fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    value.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let whole = value.len() as f64;
    let share = |count: &u32| f64::from(*count) / whole;
    counts.iter().filter(|count| **count > 0).map(share).map(|p| -p * p.log2()).sum()
}

/// Whether characters repeat or follow one another as on a keyboard's row of digits or in an alphabet.
fn has_run(value: &[u8]) -> bool {
    let longest = |step: u8| {
        let mut run = 1;
        let mut longest = 1;
        for pair in value.windows(2) {
            run = if pair[0].checked_add(step) == Some(pair[1]) { run + 1 } else { 1 };
            longest = longest.max(run);
        }
        longest
    };
    longest(0) > RUN_MAX || longest(1) > RUN_MAX
}

/// Whether 30 characters are followed by their CRC-32 in base 62, as GitHub and npm do it.
fn has_checksum(value: &[u8]) -> bool {
    value.split_at_checked(30).is_some_and(|(text, sum)| sum == checksum(text))
}

/// The CRC-32 (IEEE) in six digits of base 62: `0-9`, `A-Z`, `a-z`.
#[must_use]
pub fn checksum(text: &[u8]) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32(text);
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

fn crc32(text: &[u8]) -> u32 {
    let step = |sum: u32| (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 };
    let add = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum));
    !text.iter().fold(u32::MAX, add)
}
