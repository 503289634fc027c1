//! Texts for GitLab that are nothing but text. Pure.

/// The text with every line escaped that GitLab would carry out as a quick action: a slash, a word,
/// and nothing or a space behind it. Paths such as `/usr/bin` are none.
pub(super) fn without_quick_actions(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    // A carriage return alone ends a line for some readers.
    for line in text.split_inclusive(['\n', '\r']) {
        let bare = line.trim_start();
        if is_quick_action(bare) {
            let indentation = &line[..line.len() - bare.len()];
            safe.push_str(indentation);
            safe.push('\\');
            safe.push_str(bare);
        } else {
            safe.push_str(line);
        }
    }
    safe
}

fn is_quick_action(line: &str) -> bool {
    let Some(rest) = line.strip_prefix('/') else {
        return false;
    };
    let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
    let (word, behind) = rest.split_at(word.unwrap_or(rest.len()));
    !word.is_empty() && behind.chars().next().is_none_or(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_actions_become_text_and_everything_else_stays() {
        for (text, expected) in [
            ("/merge", "\\/merge"),
            ("Done.\n\n/approve\n/assign @root\n", "Done.\n\n\\/approve\n\\/assign @root\n"),
            ("  /close \r\n", "  \\/close \r\n"),
            ("a\r/merge", "a\r\\/merge"),
            ("/MERGE", "\\/MERGE"),
            ("```\n/merge\n```", "```\n\\/merge\n```"),
            ("/usr/bin/env\n", "/usr/bin/env\n"),
            ("see /merge", "see /merge"),
            ("/ x\n//\n", "/ x\n//\n"),
            ("", ""),
        ] {
            assert_eq!(without_quick_actions(text), expected);
        }
    }
}
