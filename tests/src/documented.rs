//! Tables of `docs/security.md` that tests hold against what they measure: so the documentation is
//! true, or a test fails.

use std::path::Path;

const DOCUMENT: &str = "docs/security.md";

/// The rows of the first table below a heading, without its head. Marks of code are taken away.
pub(crate) fn table(heading: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|root| root.join(DOCUMENT));
    let text = path.map(std::fs::read_to_string).and_then(Result::ok).unwrap_or_default();
    let rows = rows(&text, heading);
    assert!(!rows.is_empty(), "{DOCUMENT} has no table under {heading:?}");
    rows
}

fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let is_heading = |line: &&str| line.trim_start_matches('#').trim() == heading;
    let below = text.lines().skip_while(|line| !is_heading(line)).skip(1);
    let table = below.skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(cell).collect()).collect()
}

fn cell(text: &str) -> String {
    text.trim().replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_below_a_heading_is_read() {
        let text = "## One\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n### Two\ntext\n\n| c | d |\n|---|---|\n\
                    | `x` | y z |\n| p | q |\nmore\n";
        assert_eq!(rows(text, "Two"), [["x", "y z"], ["p", "q"]]);
        assert_eq!(rows(text, "Three"), [[""; 0]; 0]);
    }
}
