//! Keys of well-known kinds, known by their shape wherever they stand in a text.
//!
//! Invariant: a find says where and of what kind, never what.

mod context;
mod shape;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use self::context::Context;
use self::shape::Shape;
use crate::REDACTED;

pub use self::shape::{checksum, is_placeholder, looks_random};

/// A key in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFound {
    /// What it is, for people, with its article.
    pub what: &'static str,
    /// Where in the text, in bytes; of a private key the first line.
    pub value: Range<usize>,
}

/// What announces a key in a text.
static CLUES: LazyLock<Clues> = LazyLock::new(Clues::new);

struct Clues {
    /// `None` if the table cannot be searched for; a test shows that it can.
    matcher: Option<AhoCorasick>,
    meanings: Vec<Meaning>,
}

#[derive(Clone, Copy)]
enum Meaning {
    Shape(&'static Shape),
    Context(Context),
}

impl Clues {
    fn new() -> Self {
        let shapes = table::SHAPES
            .iter()
            .flat_map(|shape| shape.clues.iter().map(move |clue| (*clue, Meaning::Shape(shape))));
        let contexts =
            context::CLUES.iter().map(|(clue, context)| (*clue, Meaning::Context(*context)));
        let (clues, meanings): (Vec<_>, Vec<_>) = shapes.chain(contexts).unzip();
        let matcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(clues);
        Self { matcher: matcher.ok(), meanings }
    }
}

/// All keys in a text, as their clues follow one another.
pub fn keys_in(text: &[u8]) -> impl Iterator<Item = KeyFound> + '_ {
    let clues = &*CLUES;
    let found = clues.matcher.as_ref().map(|matcher| matcher.find_iter(text));
    found.into_iter().flatten().filter_map(|found| {
        let (what, value) = match clues.meanings[found.pattern()] {
            Meaning::Shape(shape) => (shape.name, shape.value_at(text, found.range())?),
            Meaning::Context(context) => (context.name(), context.value_at(text, found.range())?),
        };
        Some(KeyFound { what, value })
    })
}

/// A text with [`REDACTED`] in the place of each key, and how many there were. Of a private key all lines go.
#[must_use]
pub fn without_keys(text: &str) -> (Cow<'_, str>, usize) {
    let mut values: Vec<Range<usize>> = keys_in(text.as_bytes())
        .map(|found| match found.what {
            context::PRIVATE_KEY => context::all_lines(text.as_bytes(), &found.value),
            _ => found.value,
        })
        .collect();
    values.sort_by_key(|value| value.start);
    let (mut out, mut done, mut count) = (String::new(), 0, 0);
    for value in values {
        // A key is made of ASCII; one that overlaps the one before is gone with it.
        let Some(before) = text.get(done..value.start) else { continue };
        out.push_str(before);
        out.push_str(REDACTED);
        (done, count) = (value.end, count + 1);
    }
    if count == 0 {
        return (Cow::Borrowed(text), 0);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    (Cow::Owned(out), count)
}
