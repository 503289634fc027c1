//! Text of which the beginning and the end are kept: a run's output may be of any length, what is
//! kept of it may not.

/// Keeps the first and the last part of what is pushed, and counts what lies between.
#[derive(Debug)]
pub(crate) struct HeadTail {
    half: usize,
    head: String,
    tail: String,
    left_out: usize,
}

impl HeadTail {
    /// Keeps about `max` bytes in all, half of them from the end.
    pub(crate) const fn new(max: usize) -> Self {
        Self { half: max / 2, head: String::new(), tail: String::new(), left_out: 0 }
    }

    /// Adds text.
    pub(crate) fn push(&mut self, text: &str) {
        let room = if self.tail.is_empty() { self.half.saturating_sub(self.head.len()) } else { 0 };
        let (first, rest) = text.split_at(boundary_at_most(text, room));
        self.head.push_str(first);
        self.tail.push_str(rest);
        // Cut rarely, so that many small pieces cost little.
        if self.tail.len() > 2 * self.half {
            self.cut();
        }
    }

    /// What is kept, with a line in between that says how much is missing.
    pub(crate) fn into_text(mut self) -> String {
        self.cut();
        if self.left_out == 0 {
            return self.head + &self.tail;
        }
        format!("{}\n… {} bytes left out …\n{}", self.head, self.left_out, self.tail)
    }

    fn cut(&mut self) {
        let excess = self.tail.len().saturating_sub(self.half);
        let excess = boundary_at_most(&self.tail, excess);
        self.tail.drain(..excess);
        self.left_out += excess;
    }
}

/// The first part of `text`, at most `max` bytes.
pub(crate) fn beginning(text: &str, max: usize) -> &str {
    text.split_at(boundary_at_most(text, max)).0
}

/// The last part of `text`, at most `max` bytes.
pub(crate) fn end(text: &str, max: usize) -> &str {
    let from = text.len().saturating_sub(max);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.split_at(from).1
}

/// The last place up to `index` where the text can be cut.
fn boundary_at_most(text: &str, index: usize) -> usize {
    let index = index.min(text.len());
    (0..=index).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// `text` bounded to about `max` bytes.
pub(crate) fn bounded(text: &str, max: usize) -> String {
    let mut kept = HeadTail::new(max);
    kept.push(text);
    kept.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_kept_whole() {
        assert_eq!(bounded("héllo", 100), "héllo");
    }

    #[test]
    fn beginning_and_end_of_long_text_are_kept_within_the_bound() {
        let mut kept = HeadTail::new(1_000);
        for number in 0..100_000 {
            kept.push(&format!("{number}é "));
        }
        let text = kept.into_text();
        assert!(text.starts_with("0é 1é ") && text.ends_with("99999é "), "{text}");
        assert!(text.contains("bytes left out") && text.len() < 1_100);
    }
}
