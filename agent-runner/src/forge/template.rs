//! What a repository wants its pull requests to say.

use std::path::Path;

use git2::{ErrorCode, ObjectType, Repository};

use super::ForgeKind;
use crate::git::CommitId;

/// The longest template that is used, in bytes.
const SIZE_MAX: usize = 16 << 10;

/// The template of a commit, without blank lines around it; nothing where there is none, or where it is
/// no plain text of at most 16 KiB.
///
/// # Errors
/// When the commit cannot be read.
pub(crate) fn template(
    kind: ForgeKind,
    repository: &Repository,
    commit: CommitId,
) -> Result<Option<String>, git2::Error> {
    let tree = repository.find_commit(commit.oid())?.tree()?;
    let odb = repository.odb()?;
    for path in kind.template_paths() {
        let entry = match tree.get_path(Path::new(path)) {
            Ok(entry) => entry,
            Err(error) if error.code() == ErrorCode::NotFound => continue,
            Err(error) => return Err(error),
        };
        let is_link = entry.filemode() == 0o120_000;
        if entry.kind() != Some(ObjectType::Blob) || is_link {
            continue;
        }
        // The size is asked for first: what is too long is not read into memory.
        let (size, _) = odb.read_header(entry.id())?;
        if size > SIZE_MAX {
            tracing::warn!(
                path,
                size,
                "the template for pull requests is too long and is left out"
            );
            return Ok(None);
        }
        let blob = repository.find_blob(entry.id())?;
        let text = std::str::from_utf8(blob.content()).unwrap_or_default().trim();
        return Ok((!text.is_empty()).then(|| text.to_owned()));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::testing::Remote;

    fn template_of(files: &[(&str, &str)], kind: ForgeKind) -> Option<String> {
        let origin = Remote::new("main");
        for (file, text) in files {
            origin.commit("main", file, text);
        }
        let repository = Repository::open(origin.path()).unwrap();
        let commit = origin.head("main").parse().unwrap();
        template(kind, &repository, commit).unwrap()
    }

    #[test]
    fn each_forge_s_template_is_found_where_it_has_it() {
        let files = [
            (".github/PULL_REQUEST_TEMPLATE.md", "\n## GitHub\n"),
            (".gitea/pull_request_template.md", "## Gitea\n"),
            (".gitlab/merge_request_templates/Default.md", "## GitLab\n"),
        ];
        let expected = ["## GitHub", "## Gitea", "## GitLab"];
        for (kind, expected) in ForgeKind::ALL.into_iter().zip(expected) {
            assert_eq!(template_of(&files, kind).as_deref(), Some(expected));
        }
        assert_eq!(template_of(&[], ForgeKind::GitHub), None);
    }

    #[test]
    fn what_is_no_usable_text_is_left_out() {
        let path = "PULL_REQUEST_TEMPLATE.md";
        for text in [" \n", &"x".repeat(SIZE_MAX + 1)] {
            assert_eq!(template_of(&[(path, text)], ForgeKind::GitHub), None);
        }
        let folder = "PULL_REQUEST_TEMPLATE.md/one.md";
        assert_eq!(template_of(&[(folder, "x")], ForgeKind::GitHub), None);
    }
}
