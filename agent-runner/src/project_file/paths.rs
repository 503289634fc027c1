//! The paths that the agent may not touch: patterns as in a `.gitignore`.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Patterns of paths, relative to the root of the repository. The empty set forbids nothing.
#[derive(Clone, Debug)]
pub(crate) struct ForbiddenPaths {
    patterns: Vec<String>,
    matcher: Gitignore,
}

impl ForbiddenPaths {
    /// A set of patterns.
    ///
    /// # Errors
    /// The first pattern that is none, and why.
    pub(super) fn new(patterns: Vec<String>) -> Result<Self, String> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in &patterns {
            let wrong = |reason: &str| format!("has the pattern {pattern:?}: {reason}");
            if pattern.trim().is_empty() || pattern.starts_with('#') {
                return Err(wrong("it would match nothing"));
            }
            if pattern.starts_with('!') {
                return Err(wrong("what is forbidden cannot be allowed again"));
            }
            builder.add_line(None, pattern).map_err(|error| wrong(&error.to_string()))?;
        }
        let matcher = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { patterns, matcher })
    }

    /// The pattern that forbids a path, if one does. The path is relative to the root of the repository;
    /// a folder's pattern forbids all that is in it.
    pub(crate) fn forbids(&self, path: &Path) -> Option<&str> {
        // The matcher would take a path with a root for one of another place, and panic.
        let path = path.strip_prefix("/").unwrap_or(path);
        match self.matcher.matched_path_or_any_parents(path, false) {
            ignore::Match::Ignore(glob) => Some(glob.original()),
            ignore::Match::None | ignore::Match::Whitelist(_) => None,
        }
    }

    /// The patterns as they are written.
    pub(crate) fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

impl Default for ForbiddenPaths {
    fn default() -> Self {
        Self { patterns: Vec::new(), matcher: Gitignore::empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden(patterns: &[&str]) -> ForbiddenPaths {
        ForbiddenPaths::new(patterns.iter().map(|&p| p.to_owned()).collect()).unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_in_a_gitignore() {
        let set = forbidden(&[".github/workflows/**", "infra/", "/LICENSE", "*.pem", "a/*/b"]);
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
            assert!(set.forbids(Path::new(path)).is_some(), "{path}");
        }
        for path in [".github/CODEOWNERS", "infra", "docs/LICENSE", "key.pem.md", "a/b", "x/a/x/b"]
        {
            assert_eq!(set.forbids(Path::new(path)), None, "{path}");
        }
        assert_eq!(set.forbids(Path::new("LICENSE")), Some("/LICENSE"));
    }

    #[test]
    fn no_pattern_forbids_nothing() {
        assert_eq!(ForbiddenPaths::default().forbids(Path::new("a")), None);
    }

    #[test]
    fn a_pattern_that_could_not_mean_anything_is_refused() {
        for pattern in ["", "  ", "# comment", "!allowed", "{a"] {
            let error = ForbiddenPaths::new(vec![pattern.to_owned()]).unwrap_err();
            assert!(error.contains(&format!("{pattern:?}")), "{error}");
        }
    }

    #[test]
    fn odd_paths_are_judged_and_not_a_panic() {
        let set = forbidden(&["/etc"]);
        for path in ["", "/", "/etc/passwd", "../etc", "./etc", "a/../etc"] {
            let _judged = set.forbids(Path::new(path));
        }
    }
}
