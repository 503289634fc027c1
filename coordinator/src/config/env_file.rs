//! Files of environment variables, read as systemd reads those of `EnvironmentFile=`
//! (`systemd.exec(5)`), so that a command has the settings of the packaged unit.

use std::fs;
use std::io;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

/// Such a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the environment file {}", path.display())]
pub(crate) struct EnvFileError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl EnvFileError {
    /// Whether it is not there.
    pub(crate) fn is_absent(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// The variables of a file, in its order.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, EnvFileError> {
    let failed = |source| EnvFileError { path: path.to_owned(), source };
    Ok(parse(&fs::read_to_string(path).map_err(failed)?))
}

/// What is no assignment is passed over, as systemd does.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut chars = text.chars().peekable();
    let mut variables = Vec::new();
    while let Some(first) = chars.next() {
        match first {
            '#' | ';' => skip_line(&mut chars),
            first if first.is_whitespace() => {}
            first => {
                let Some(rest) = name(&mut chars) else { continue };
                let name = format!("{first}{rest}");
                let value = value(&mut chars);
                if is_name(name.trim_end()) {
                    variables.push((name.trim_end().to_owned(), value));
                }
            }
        }
    }
    variables
}

/// The name up to its `=`; nothing where the line has none.
fn name(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut name = String::new();
    for c in chars.by_ref() {
        match c {
            '=' => return Some(name),
            '\n' => return None,
            c => name.push(c),
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn skip_line(chars: &mut Peekable<Chars<'_>>) {
    while chars.next().is_some_and(|c| c != '\n') {}
}

/// The value up to the end of its line: quotes count where a part of it begins, a backslash takes the next
/// character as it is, or goes on in the next line.
fn value(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    let mut begins = true;
    // How much of it blanks at the end cannot take away.
    let mut kept = 0;
    while let Some(c) = chars.next() {
        match c {
            '\n' => break,
            '\'' if begins => {
                value.extend(chars.by_ref().take_while(|c| *c != '\''));
                kept = value.len();
            }
            '"' if begins => {
                double_quoted(chars, &mut value);
                kept = value.len();
            }
            c if begins && c.is_whitespace() => {}
            '\\' => {
                begins = false;
                value.extend(chars.next().filter(|c| *c != '\n'));
                kept = value.len();
            }
            c => {
                begins = false;
                value.push(c);
            }
        }
    }
    let end = value.trim_end().len().max(kept);
    value.truncate(end);
    value
}

fn double_quoted(chars: &mut Peekable<Chars<'_>>, value: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_systemd_reads_them() {
        let text = "# comment\n; another\n\nA=1\n  B = two words  \nC=\"a \\\"b\\\" \\n \"\nD='it is \\ '\n\
                    E=one\\\n two\nnonsense\n9F=no\nG=\nH=a\"b\nI=\"x\"'y'\nJ=last";
        let read = parse(text);
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "a \"b\" \\n "),
            ("D", "it is \\ "),
            ("E", "one two"),
            ("G", ""),
            ("H", "a\"b"),
            ("I", "xy"),
            ("J", "last"),
        ];
        let read: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_file_that_is_not_there_is_told_from_one_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("absent")).unwrap_err().is_absent());
        assert!(!read(dir.path()).unwrap_err().is_absent());
    }
}
