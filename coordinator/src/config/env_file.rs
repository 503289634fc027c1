//! A file of environment variables, read as systemd reads an `EnvironmentFile=` (systemd.exec(5)): no shell,
//! nothing is expanded, and what is no assignment is passed over.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Longest file that is read, in bytes.
const LENGTH_MAX: u64 = 1 << 20;

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

/// What such a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Names and values, in their order; of a name that stands there twice the last one holds.
    pub(crate) variables: Vec<(String, String)>,
    /// The lines, from 1, that systemd passes over although something stands there.
    pub(crate) ignored: Vec<usize>,
}

/// Where in a line the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeName,
    Comment,
    CommentEscape,
    Name,
    /// Behind the sign, or behind a quote that was closed.
    BeforeValue,
    Value,
    ValueEscape,
    Single,
    Double,
    DoubleEscape,
}

impl EnvFile {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not there, or longer than 1 MiB.
    pub(crate) fn read(path: &Path) -> Result<Self, EnvFileError> {
        let read = || {
            let mut text = Vec::new();
            fs::File::open(path)?.take(LENGTH_MAX + 1).read_to_end(&mut text)?;
            if text.len() as u64 > LENGTH_MAX {
                return Err(io::Error::other("it is longer than 1 MiB"));
            }
            Ok(Self { path: path.to_owned(), ..Self::parse(&String::from_utf8_lossy(&text)) })
        };
        read().map_err(|source| EnvFileError { path: path.to_owned(), source })
    }

    fn parse(text: &str) -> Self {
        let mut reader = Reader::default();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            line.chars().for_each(|c| reader.take(c, index + 1));
        }
        reader.end()
    }
}

struct Reader {
    place: Place,
    /// The line in which the assignment began.
    line: usize,
    name: String,
    value: String,
    /// How much of the value stays when spaces are cut off its end.
    kept: usize,
    file: EnvFile,
}

impl Default for Reader {
    fn default() -> Self {
        let (name, value) = (String::new(), String::new());
        let file = EnvFile::default();
        Self { place: Place::BeforeName, line: 0, name, value, kept: 0, file }
    }
}

impl Reader {
    fn take(&mut self, c: char, line: usize) {
        let is_space = matches!(c, ' ' | '\t' | '\r' | '\n');
        let ends_line = matches!(c, '\n' | '\r');
        self.place = match (self.place, c) {
            (Place::BeforeName, '#' | ';') => Place::Comment,
            (Place::BeforeName, _) if is_space => Place::BeforeName,
            (Place::BeforeName, _) => {
                self.line = line;
                self.name.push(c);
                Place::Name
            }
            (Place::Comment, '\\') => Place::CommentEscape,
            (Place::Comment, _) if ends_line => Place::BeforeName,
            (Place::Comment, _) => Place::Comment,
            // A comment ends with its line all the same (systemd before 254 took in the next one).
            (Place::CommentEscape, _) if ends_line => Place::BeforeName,
            (Place::CommentEscape, _) => Place::Comment,
            (Place::Name, '=') => Place::BeforeValue,
            (Place::Name, _) if ends_line => {
                self.file.ignored.push(self.line);
                self.name.clear();
                Place::BeforeName
            }
            (Place::Name, _) => {
                self.name.push(c);
                Place::Name
            }
            (Place::BeforeValue | Place::Value, _) if ends_line => self.assign(),
            (Place::BeforeValue, '\'') => Place::Single,
            (Place::BeforeValue, '"') => Place::Double,
            (Place::BeforeValue | Place::Value, '\\') => Place::ValueEscape,
            (Place::BeforeValue, _) if is_space => Place::BeforeValue,
            (Place::BeforeValue | Place::Value, _) => {
                self.value.push(c);
                if !is_space {
                    self.kept = self.value.len();
                }
                Place::Value
            }
            // A line that ends so goes on in the next one.
            (Place::ValueEscape, _) => self.keep((!ends_line).then_some(c), Place::Value),
            (Place::Single, '\'') | (Place::Double, '"') => Place::BeforeValue,
            (Place::Double, '\\') => Place::DoubleEscape,
            (Place::Single | Place::Double, _) => self.keep(Some(c), self.place),
            (Place::DoubleEscape, '"' | '\\' | '`' | '$') => self.keep(Some(c), Place::Double),
            (Place::DoubleEscape, '\n') => Place::Double,
            (Place::DoubleEscape, _) => {
                self.value.push('\\');
                self.keep(Some(c), Place::Double)
            }
        };
    }

    /// Adds a character of which no space is cut off.
    fn keep(&mut self, c: Option<char>, place: Place) -> Place {
        self.value.extend(c);
        self.kept = self.value.len();
        place
    }

    fn assign(&mut self) -> Place {
        self.value.truncate(self.kept);
        let name = std::mem::take(&mut self.name).trim_end().to_owned();
        let value = std::mem::take(&mut self.value);
        self.kept = 0;
        let has_control = value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n'));
        if is_name(&name) && !has_control {
            self.file.variables.push((name, value));
        } else {
            self.file.ignored.push(self.line);
        }
        Place::BeforeName
    }

    /// What the end of the file cuts off holds as it stands.
    fn end(mut self) -> EnvFile {
        match self.place {
            Place::BeforeName | Place::Comment | Place::CommentEscape => {}
            Place::Name => self.file.ignored.push(self.line),
            Place::BeforeValue
            | Place::Value
            | Place::ValueEscape
            | Place::Single
            | Place::Double
            | Place::DoubleEscape => {
                self.assign();
            }
        }
        self.file
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(is_part) && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        EnvFile::parse(text).variables
    }

    fn value(text: &str) -> String {
        let [(_, value)] = &read(text)[..] else { panic!("not one: {text}") };
        value.clone()
    }

    #[test]
    fn values_are_read_as_systemd_reads_them() {
        for (text, expected) in [
            ("A=plain\n", "plain"),
            ("  A = two words  \n", "two words"),
            ("A=it's \"quoted\" inside\n", "it's \"quoted\" inside"),
            ("A=\"a $HOME \\$x \\n\"\n", "a $HOME $x \\n"),
            ("A='a \\ \"b\" '\n", "a \\ \"b\" "),
            ("A='one'\"two\" three\n", "onetwothree"),
            ("A=a\"b\n", "a\"b"),
            ("A=one\\\n two\n", "one two"),
            ("A=one\\\ntwo\n", "onetwo"),
            ("A=\"one\ntwo\"\n", "one\ntwo"),
            ("A=a\\ \n", "a "),
            ("A=x#y ; z\n", "x#y ; z"),
            ("A=\n", ""),
            ("A=cut off", "cut off"),
            ("A=dos\r\n", "dos"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn comments_and_what_is_no_assignment_are_passed_over() {
        let text = "# A=1\n ;B=2 \\\nC=3\nexport D=4\n9=x\nnonsense\nE=5\nE=6\n";
        let file = EnvFile::parse(text);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(file.variables, [pair("C", "3"), pair("E", "5"), pair("E", "6")]);
        assert_eq!(file.ignored, [4, 5, 6]);
    }

    #[test]
    fn a_file_that_is_not_there_is_told_from_one_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(EnvFile::read(&dir.path().join("absent")).unwrap_err().is_absent());
        assert!(!EnvFile::read(dir.path()).unwrap_err().is_absent());
    }
}
