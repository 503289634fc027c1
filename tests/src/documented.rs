//! What the pages for people say, read by the tests that hold it against what they measure, or do as it
//! says: so the documentation is true, or a test fails.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where the tables are.
const SECURITY: &str = "docs/security.md";

/// What begins and ends a block.
const FENCE: &str = "```";

/// A page of the repository.
#[derive(Clone, Debug)]
pub struct Page {
    /// Below the root of the repository.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// A block between fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'p> {
    /// What stands behind the first fence.
    pub language: &'p str,
    /// What stands between the fences, without the room that these are indented by.
    pub text: String,
    /// What the page says between the block before and this one, on one line.
    pub before: String,
}

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

impl Page {
    /// Reads the page at this path below the root of the repository.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        Ok(Self { text: fs::read_to_string(root().join(&path))?, path })
    }

    /// All its blocks, in order.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block<'_>> {
        blocks(self.text.lines())
    }

    /// The blocks below a heading, up to the next one that is not below it; none where there is no such heading.
    #[must_use]
    pub fn blocks_under(&self, heading: &str) -> Vec<Block<'_>> {
        blocks(section(&self.text, heading).into_iter())
    }

    /// The pieces of code within the text, those of blocks excepted. One may go over a line's end.
    #[must_use]
    pub fn spans(&self) -> Vec<String> {
        let prose = self.text.split(FENCE).step_by(2).collect::<Vec<_>>().join("\n\n");
        let paragraphs = prose.split("\n\n");
        let spans = paragraphs.flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
        spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// For messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// The rows of the first table of `docs/security.md` below a heading, without its head. Marks of code are
/// taken away.
pub(crate) fn table(heading: &str) -> Vec<Vec<String>> {
    table_with_head(heading).1
}

/// The same with its head.
pub(crate) fn table_with_head(heading: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let text = Page::read(SECURITY).map(|page| page.text).unwrap_or_default();
    let mut rows = rows(&text, heading);
    assert!(rows.len() > 1, "{SECURITY} has no table under {heading:?}");
    (rows.remove(0), rows.split_off(1))
}

/// All rows, the head and the line under it among them.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let below = section(text, heading).into_iter();
    let table = below.skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(cell).collect()).collect()
}

fn cell(text: &str) -> String {
    text.trim().replace('`', "")
}

/// The lines below a heading, up to the next one that is not below it.
fn section<'t>(text: &'t str, heading: &str) -> Vec<&'t str> {
    let mut fenced = false;
    let mut level = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with(FENCE);
        let found = heading_of(line).filter(|_| !fenced);
        match (level, found) {
            (None, Some((depth, title))) if title == heading => level = Some(depth),
            (Some(above), Some((depth, _))) if depth <= above => break,
            (Some(_), _) => lines.push(line),
            (None, _) => {}
        }
    }
    lines
}

/// The level and the words of a heading.
fn heading_of(line: &str) -> Option<(usize, &str)> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    (level > 0 && title.starts_with(' ')).then(|| (level, title.trim()))
}

fn blocks<'t>(mut lines: impl Iterator<Item = &'t str>) -> Vec<Block<'t>> {
    let mut blocks = Vec::new();
    let mut before = Vec::new();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix(FENCE) else {
            before.extend(line.split_whitespace());
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim_start() != FENCE);
        let text = inside.map(|line| format!("{}\n", outdented(line, indent))).collect();
        blocks.push(Block { language, text, before: std::mem::take(&mut before).join(" ") });
    }
    blocks
}

fn outdented(line: &str, by: usize) -> &str {
    let room = line.len() - line.trim_start_matches(' ').len();
    line.get(room.min(by)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_below_a_heading_is_read() {
        let text = "## One\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n### Two\ntext\n\n| c | d |\n|---|---|\n\
                    | `x` | y z |\n| p | q |\nmore\n";
        let expected = [["c", "d"], ["---", "---"], ["x", "y z"], ["p", "q"]];
        assert_eq!(rows(text, "Two"), expected);
        assert_eq!(rows(text, "Three"), [[""; 0]; 0]);
    }

    #[test]
    fn the_blocks_below_a_heading_are_read_with_what_is_said_before_each() {
        let text = "## One\n```sh\nno\n```\n### Two\n1. **On A**:\n\n   ```sh\n   # a comment\n   \
                    cat \\\n     file\n   ```\n   then\n   ```ini\n   x=1\n   ```\n#### Below\n```sh\nb\n```\n\
                    ### Three\n```sh\nno\n```\n";
        let page = Page { path: PathBuf::new(), text: text.to_owned() };
        let block = |language, text: &str, before: &str| Block {
            language,
            text: text.to_owned(),
            before: before.to_owned(),
        };
        let expected = [
            block("sh", "# a comment\ncat \\\n  file\n", "1. **On A**:"),
            block("ini", "x=1\n", "then"),
            block("sh", "b\n", "#### Below"),
        ];
        assert_eq!(page.blocks_under("Two"), expected);
        assert_eq!(page.blocks_under("Four"), []);
    }
}
