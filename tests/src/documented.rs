//! Tables of `docs/security.md` that tests hold against what they measure: so the documentation is
//! true, or a test fails.

use std::path::Path;

const DOCUMENT: &str = "docs/security.md";

/// The rows of the first table below a heading, without its head. Marks of code are taken away.
pub(crate) fn table(heading: &str) -> Vec<Vec<String>> {
    table_with_head(heading).1
}

/// The same with its head.
pub(crate) fn table_with_head(heading: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|root| root.join(DOCUMENT));
    let text = path.map(std::fs::read_to_string).and_then(Result::ok).unwrap_or_default();
    let mut rows = rows(&text, heading);
    assert!(rows.len() > 1, "{DOCUMENT} has no table under {heading:?}");
    (rows.remove(0), rows.split_off(1))
}

/// All rows, the head and the line under it among them.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let is_heading = |line: &&str| line.trim_start_matches('#').trim() == heading;
    let below = text.lines().skip_while(|line| !is_heading(line)).skip(1);
    let table = below.skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|'));
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
        let expected = [["c", "d"], ["---", "---"], ["x", "y z"], ["p", "q"]];
        assert_eq!(rows(text, "Two"), expected);
        assert_eq!(rows(text, "Three"), [[""; 0]; 0]);
    }
}
