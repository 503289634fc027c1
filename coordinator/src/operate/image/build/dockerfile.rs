//! The Dockerfile of the agent's image, which must have what a build asks of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use super::ImageBuildError;

/// Where the package has the Dockerfile.
pub(super) const INSTALLED: &str = "/usr/share/terarchitect";

const DOCKERFILE: &str = "Dockerfile.agent";

/// What its stages up to [`SYSTEM`] copy out of the context.
pub(super) const COPIED: &str = "packaging/slim-aider";

/// The stage that has all of the image but agent-runner.
pub(super) const SYSTEM: &str = "system";

/// The text of the Dockerfile, which has what is asked of it.
pub(super) fn dockerfile(
    folder: &Path,
    given: &[(String, String)],
) -> Result<String, ImageBuildError> {
    let path = folder.join(DOCKERFILE);
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |source| ImageBuildError::NoFile { path, source }
    };
    let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
    let copied = folder.join(COPIED);
    File::open(&copied).map_err(unreadable(&copied))?;
    let lines = || text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let is_stage =
        |words: Vec<&str>| matches!(words[..], ["FROM", _, "AS", name] if name == SYSTEM);
    if !lines().any(is_stage) {
        return Err(ImageBuildError::NoStage { path });
    }
    let known: BTreeSet<String> = lines()
        .filter_map(|words| match words[..] {
            ["ARG", argument, ..] => argument.split('=').next().map(str::to_owned),
            _ => None,
        })
        .collect();
    match given.iter().find(|(name, _)| !known.contains(name) && !is_proxy(name)) {
        Some((name, _)) => Err(ImageBuildError::NoArgument { path, name: name.clone() }),
        None => Ok(text),
    }
}

/// Whether every Dockerfile has this argument.
fn is_proxy(name: &str) -> bool {
    use api_client::contract::{NO_PROXIES, PROXIES};
    PROXIES.iter().any(|(one, other)| [*one, *other].contains(&name)) || NO_PROXIES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::OURS;
    use super::*;
    use crate::operate::image::VERSION_LABEL;

    fn folder(dockerfile: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("packaging")).unwrap();
        fs::write(dir.path().join(COPIED), "").unwrap();
        fs::write(dir.path().join(DOCKERFILE), dockerfile).unwrap();
        dir
    }

    #[test]
    fn the_dockerfile_of_this_version_has_what_is_asked_of_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let given = ["INSTALL_AIDER", "NODE_VERSION", "BASE_IMAGE", "EXTRA_CA_PEM", "HTTPS_PROXY"];
        let given: Vec<_> = given.map(|name| (name.to_owned(), "0".to_owned())).into();
        let text = dockerfile(&root, &given).unwrap();
        // By the label it is known which coordinators an image is for.
        assert!(text.contains(&format!("\nARG VERSION={OURS}\n")), "its VERSION is not {OURS}");
        assert!(text.contains(VERSION_LABEL));
        let until = text.split(&format!("AS {SYSTEM}\n")).next().unwrap();
        let from_context = |line: &&str| line.starts_with("COPY ") && !line.contains("--from=");
        let copied: Vec<_> = until.lines().filter(from_context).collect();
        assert_eq!(copied, [format!("COPY {COPIED} /usr/local/bin/")]);
    }

    #[test]
    fn a_misspelt_argument_and_a_strange_dockerfile_are_named() {
        let dir = folder("ARG BASE=x\nFROM $BASE AS system\nARG ONE\nARG TWO=2\n");
        let given = |name: &str| vec![(name.to_owned(), "0".to_owned())];
        for name in ["BASE", "ONE", "TWO", "no_proxy"] {
            dockerfile(dir.path(), &given(name)).unwrap();
        }
        let error = dockerfile(dir.path(), &given("TW")).unwrap_err().to_string();
        assert!(error.ends_with("Dockerfile.agent has no build argument TW"), "{error}");
        let error = dockerfile(folder("FROM x\n").path(), &[]).unwrap_err().to_string();
        assert!(error.contains("no stage named system"), "{error}");
    }

    #[test]
    fn what_the_package_should_have_is_named_with_the_package() {
        let dir = tempfile::tempdir().unwrap();
        let error = dockerfile(dir.path(), &[]).unwrap_err().to_string();
        assert!(
            error.contains("Dockerfile.agent: the package terarchitect-coordinator"),
            "{error}"
        );
        let dir = folder("FROM x AS system\n");
        fs::remove_file(dir.path().join(COPIED)).unwrap();
        let error = dockerfile(dir.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("slim-aider: the package"), "{error}");
    }
}
