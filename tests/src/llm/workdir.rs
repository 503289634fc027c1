//! Where the client works, as the CLIs tell their model.

/// What stands before the directory, in lower case.
const MARKS: [&str; 6] = [
    "<cwd>",
    "working directory:",
    "workspace root folder:",
    "current directory is:",
    "current directory:",
    "workspace directories:**",
];

/// The first absolute path after one of the phrases.
pub(super) fn find(text: &str) -> Option<String> {
    // ASCII lower case keeps byte offsets.
    let lower = text.to_ascii_lowercase();
    MARKS.iter().find_map(|mark| {
        lower.match_indices(mark).find_map(|(at, _)| path_at(&text[at + mark.len()..]))
    })
}

fn path_at(rest: &str) -> Option<String> {
    let rest = rest.trim_start_matches([' ', '\t', '\r', '\n', '-', '`', '"', '\'']);
    let end = rest.find(|c: char| c.is_whitespace() || c == '<').unwrap_or(rest.len());
    let path = rest[..end].trim_end_matches(['.', ',', ';', '`', '"', '\'']);
    path.starts_with('/').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_phrases_of_the_clis_are_understood() {
        let found = |text| find(text).unwrap();
        assert_eq!(found("<env>\n  Working directory: /tmp/a b\n"), "/tmp/a");
        assert_eq!(found(" - Primary working directory: /home/u/repo\n"), "/home/u/repo");
        assert_eq!(found("<environment_context>\n  <cwd>/work</cwd>"), "/work");
        assert_eq!(found("**Workspace Directories:**\n  - /work/x\n"), "/work/x");
        assert_eq!(found("the working directory: none. Working directory: `/y`."), "/y");
        assert_eq!(find("no directory here"), None);
    }
}
