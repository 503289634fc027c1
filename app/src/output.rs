//! What the commands print: plain aligned text. Text of others (titles, logs) cannot move the
//! cursor or colour the terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Writes to standard output.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.trim_end().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes to standard error, as well as it goes.
pub(crate) fn error(text: &str) {
    let _unread = writeln!(io::stderr().lock(), "error: {text}");
}

/// Rows under headers, each column as wide as its widest cell.
pub(crate) fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let headers = headers.map(str::to_owned);
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell))).collect();
    let all = || std::iter::once(&headers).chain(&rows);
    let width = |column: usize| {
        let cells = all().map(|row| row.get(column).map_or(0, |cell| cell.chars().count()));
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Names and values, the values aligned; names without a value are left out.
pub(crate) fn pairs(pairs: &[(&str, Option<String>)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            let _infallible = writeln!(text, "{name:width$}  {}", one_line(value));
        }
    }
    text
}

/// Lines with every control character but the tab replaced.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["é".to_owned(), "x".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["A", "B"], &rows), "A     B\né     x\nlong\n");
    }

    #[test]
    fn text_of_others_cannot_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\n");
        assert_eq!(
            pairs(&[("title", Some("a\nb\x07".to_owned())), ("none", None)]),
            "title  a b\u{fffd}\n"
        );
    }
}
