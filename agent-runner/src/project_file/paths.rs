//! Sets of paths: patterns as in a `.gitignore`.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Patterns of paths, relative to the root of the repository. The empty set matches nothing.
#[derive(Clone, Debug)]
pub(crate) struct PathPatterns {
    matcher: Gitignore,
}

impl PathPatterns {
    /// A set of patterns.
    ///
    /// # Errors
    /// The first pattern that is none, and why.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in patterns {
            let wrong = |reason: &str| format!("has the pattern {pattern:?}: {reason}");
            if pattern.trim().is_empty() || pattern.starts_with('#') {
                return Err(wrong("it would match nothing"));
            }
            if pattern.starts_with('!') {
                return Err(wrong("a set of paths has no exceptions"));
            }
            builder.add_line(None, pattern).map_err(|error| wrong(&error.to_string()))?;
        }
        let matcher = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { matcher })
    }

    /// The pattern that a path matches, if it matches one. The path is relative to the root of the
    /// repository; a folder's pattern matches all that is in it.
    pub(crate) fn matching(&self, path: &Path) -> Option<&str> {
        // The matcher would take a path with a root for one of another place, and panic.
        let path = path.strip_prefix("/").unwrap_or(path);
        match self.matcher.matched_path_or_any_parents(path, false) {
            ignore::Match::Ignore(glob) => Some(glob.original()),
            ignore::Match::None | ignore::Match::Whitelist(_) => None,
        }
    }
}

impl Default for PathPatterns {
    fn default() -> Self {
        Self { matcher: Gitignore::empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(patterns: &[&str]) -> PathPatterns {
        PathPatterns::new(&patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_in_a_gitignore() {
        let set = set_of(&[".github/workflows/**", "infra/", "/LICENSE", "*.pem", "a/*/b"]);
        for path in [
            ".github/workflows/ci.yml",
            ".github/workflows/deep/er.yml",
            "infra/main.tf",
            "x/infra/main.tf",
            "LICENSE",
            "certs/key.pem",
            "a/x/b",
            "a/x/b/c",
        ] {
            assert!(set.matching(Path::new(path)).is_some(), "{path}");
        }
        for path in [".github/CODEOWNERS", "infra", "docs/LICENSE", "key.pem.md", "a/b", "x/a/x/b"]
        {
            assert_eq!(set.matching(Path::new(path)), None, "{path}");
        }
        assert_eq!(set.matching(Path::new("LICENSE")), Some("/LICENSE"));
    }

    #[test]
    fn no_pattern_matches_nothing() {
        assert_eq!(PathPatterns::default().matching(Path::new("a")), None);
    }

    #[test]
    fn a_pattern_that_could_not_mean_anything_is_refused() {
        for pattern in ["", "  ", "# comment", "!allowed", "{a"] {
            let error = PathPatterns::new(&[pattern.to_owned()]).unwrap_err();
            assert!(error.contains(&format!("{pattern:?}")), "{error}");
        }
    }

    #[test]
    fn odd_paths_are_judged_and_not_a_panic() {
        let set = set_of(&["/etc"]);
        for path in ["", "/", "/etc/passwd", "../etc", "./etc", "a/../etc"] {
            let _judged = set.matching(Path::new(path));
        }
    }
}
