//! Files that hold credentials by their nature: what is assigned in them to a password or a token is
//! one, unless it is plainly none.

use std::ops::Range;

use api_client::key_shape::{is_placeholder, looks_random};

use super::Hit;

/// A file, by its name, and what in it is a credential.
struct NamedFile {
    what: &'static str,
    is: fn(&str) -> bool,
    /// What comes before the value on its line, in lower case.
    keys: &'static [&'static str],
    value: Value,
}

enum Value {
    /// Somebody may have chosen it: eight characters or more.
    Password,
    /// A machine made it: sixteen characters or more that look random.
    Token,
}

static FILES: [NamedFile; 6] = [
    NamedFile {
        what: "a token of a package registry",
        is: |name| name == ".npmrc" || name == ".yarnrc" || name == ".yarnrc.yml",
        keys: &["_authtoken", "_password", "_auth", "npmauthtoken"],
        value: Value::Token,
    },
    NamedFile {
        what: "a password of a package registry",
        is: |name| name == ".pypirc",
        keys: &["password"],
        value: Value::Password,
    },
    NamedFile {
        what: "a password for a machine",
        is: |name| name == ".netrc" || name == "_netrc",
        keys: &["password"],
        value: Value::Password,
    },
    NamedFile {
        what: "a password for a git server",
        is: |name| name == ".git-credentials",
        keys: &["https://", "http://"],
        value: Value::Password,
    },
    NamedFile {
        what: "a password of an image registry",
        is: |name| name == ".dockercfg" || name == ".dockerconfigjson",
        keys: &["\"auth\"", "\"identitytoken\""],
        value: Value::Token,
    },
    NamedFile {
        what: "a secret of an environment file",
        is: is_environment,
        keys: &[
            "secret",
            "token",
            "password",
            "passwd",
            "api_key",
            "apikey",
            "private_key",
            "access_key",
        ],
        value: Value::Token,
    },
];

/// Environment files that are not examples.
fn is_environment(name: &str) -> bool {
    const EXAMPLES: [&str; 6] = ["example", "sample", "template", "dist", "default", "test"];
    let Some(kind) = name.strip_prefix(".env") else {
        return false;
    };
    (kind.is_empty() || kind.starts_with('.')) && !EXAMPLES.iter().any(|word| kind.contains(word))
}

/// The credentials in a file of this path.
pub(super) fn hits(path: &str, text: &[u8]) -> Vec<Hit> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(file) = FILES.iter().find(|file| (file.is)(name)) else {
        return Vec::new();
    };
    let mut hits = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Some(value) = file.value_in(line) {
            hits.push(Hit { what: file.what, value: start + value.start..start + value.end });
        }
        start += line.len();
    }
    hits
}

impl NamedFile {
    fn value_in(&self, line: &[u8]) -> Option<Range<usize>> {
        let lower = String::from_utf8_lossy(line).to_ascii_lowercase();
        if lower.trim_start().starts_with(['#', ';']) || lower.len() != line.len() {
            return None;
        }
        let key_end =
            self.keys.iter().filter_map(|key| Some(lower.find(key)? + key.len())).min()?;
        let rest = &lower[key_end..];
        // In an environment file the key is part of a longer name; in a URL the value follows the user.
        let separator = rest.find(['=', ':', ' ', '\t'])?;
        let is_separator = |c: char| c.is_whitespace() || matches!(c, '=' | ':' | '"' | '\'');
        let start = lower.len() - rest[separator..].trim_start_matches(is_separator).len();
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '@' | ',');
        let end = lower[start..].find(ends).map_or(lower.len(), |length| start + length);
        self.value.is(&line[start..end]).then_some(start..end)
    }
}

impl Value {
    fn is(&self, value: &[u8]) -> bool {
        // `$NAME`, `${NAME}`, `<name>`, `%NAME%` and `{{ name }}` stand for a value.
        let stands_for = matches!(value.first(), Some(b'$' | b'<' | b'%' | b'{') | None);
        !stands_for
            && match self {
                Self::Password => value.len() >= 8 && !is_placeholder(value),
                Self::Token => {
                    value.len() >= 16
                        && looks_random(value)
                        && !value.windows(3).any(|url| url == b"://")
                }
            }
    }
}
