//! The submodules of a checkout, where the project file asks for them.
//!
//! Invariant: where they are is the tree's word and what they are at is the tree's word; of `.gitmodules`,
//! which an earlier run may have written, only addresses are taken. Each is http or https, and the
//! token goes to the repository's own host alone. Every submodule is a repository of its own in its place,
//! so that no name in that file becomes a path of ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{FileMode, Oid, Repository, RepositoryInitOptions, RepositoryOpenFlags};

use super::{Checkout, CheckoutError};
use crate::git::{CommitId, FetchInto, Git, RepoUrl, Source};

/// The longest `.gitmodules` that is read, in bytes.
const SIZE_MAX: usize = 64 << 10;
/// How deep submodules may be within one another.
const DEPTH_MAX: usize = 4;
/// How many there may be in all.
const COUNT_MAX: usize = 50;

/// A tree with submodules.
struct Level {
    git_dir: PathBuf,
    work_tree: PathBuf,
    url: RepoUrl,
    commit: Oid,
    depth: usize,
}

/// A place in a tree that is a commit of another repository.
struct Link {
    path: String,
    commit: Oid,
}

/// Fetches the submodules of a checkout that nobody has worked in; how many there are.
///
/// # Errors
/// When one cannot be had, or its address must not be used.
pub(crate) async fn fetch_submodules(
    git: &Git,
    checkout: &Checkout,
) -> Result<usize, CheckoutError> {
    let mut levels = vec![Level {
        git_dir: checkout.shadow().path().to_owned(),
        work_tree: checkout.path().to_owned(),
        url: checkout.source().url.clone(),
        commit: checkout.start_commit().oid(),
        depth: 0,
    }];
    let mut count = 0;
    while let Some(level) = levels.pop() {
        let (links, file) = read(&level)?;
        let Some(file) = file.filter(|_| !links.is_empty()) else { continue };
        let urls = by_path(&git.submodule_entries(&level.git_dir, &file.to_string()).await?);
        for link in links {
            let Some(url) = urls.get(&link.path) else {
                tracing::warn!(path = link.path, "a submodule has no address in .gitmodules");
                continue;
            };
            count += 1;
            if level.depth == DEPTH_MAX || count > COUNT_MAX {
                let reason =
                    format!("there are more than {COUNT_MAX}, or more than {DEPTH_MAX} levels");
                return Err(refused(&link.path, reason));
            }
            let url = resolve(&level.url, url).map_err(|reason| refused(&link.path, reason))?;
            let source = source_of(checkout.source(), url.clone());
            let work_tree = place(&level.work_tree, &link.path)?;
            fetch(git, &source, &work_tree, &link).await?;
            let git_dir = work_tree.join(".git");
            let (commit, depth) = (link.commit, level.depth + 1);
            levels.push(Level { git_dir, work_tree, url, commit, depth });
        }
    }
    Ok(count)
}

/// The links of a tree, and its `.gitmodules`.
fn read(level: &Level) -> Result<(Vec<Link>, Option<Oid>), CheckoutError> {
    let nowhere: [&Path; 0] = [];
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE;
    let read = || {
        let repository = Repository::open_ext(&level.git_dir, flags, nowhere)?;
        let tree = repository.find_commit(level.commit)?.tree()?;
        let mut links = Vec::new();
        for delta in repository.diff_tree_to_tree(None, Some(&tree), None)?.deltas() {
            let file = delta.new_file();
            let path = file.path_bytes().and_then(|path| str::from_utf8(path).ok());
            if let (FileMode::Commit, Some(path)) = (file.mode(), path) {
                links.push(Link { path: path.to_owned(), commit: file.id() });
            }
        }
        let file = tree.get_name(".gitmodules").filter(|entry| entry.filemode() == 0o100_644);
        let file = file.map(|entry| entry.id());
        let size = file.map(|id| repository.odb()?.read_header(id)).transpose()?;
        Ok((links, file.filter(|_| size.is_some_and(|(size, _)| size <= SIZE_MAX))))
    };
    read().map_err(|source| CheckoutError::Submodules { source })
}

/// The addresses of `submodule.<name>.url`, by the `submodule.<name>.path` of the same name.
fn by_path(entries: &[(String, String)]) -> BTreeMap<String, String> {
    let values = |key: &str| -> BTreeMap<String, String> {
        let named = |(name, value): &(String, String)| {
            let name = name.strip_prefix("submodule.")?.strip_suffix(key)?;
            Some((name.to_owned(), value.clone()))
        };
        entries.iter().filter_map(named).collect()
    };
    let mut urls = values(".url");
    let paths = values(".path").into_iter();
    paths.filter_map(|(name, path)| urls.remove(&name).map(|url| (path, url))).collect()
}

/// The address of a submodule, as it is written in a repository of this address.
fn resolve(base: &RepoUrl, text: &str) -> Result<RepoUrl, String> {
    let on_same_host = |path: &str| format!("{}://{}/{path}", base.scheme(), base.host());
    let text = text.trim();
    let absolute = if text.starts_with("./") || text.starts_with("../") {
        on_same_host(&relative(base.path(), text).ok_or("its address leads out of the host")?)
    } else if let Some(path) = ssh_path(text, base.host().split(':').next().unwrap_or_default()) {
        on_same_host(path)
    } else {
        text.to_owned()
    };
    let parsed: Result<RepoUrl, _> = absolute.parse();
    // The address is not shown: it may hold a password.
    parsed.map_err(|error| error.to_string())
}

fn relative(base: &str, text: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix("../") {
            parts.pop()?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else {
            parts.push(rest);
            return Some(parts.join("/"));
        }
    }
}

/// The path of an address for SSH on this host.
fn ssh_path<'t>(text: &'t str, host: &str) -> Option<&'t str> {
    if let Some(rest) = text.strip_prefix("ssh://") {
        let (server, path) = rest.split_once('/')?;
        let server = server.rsplit('@').next()?;
        return (server.split(':').next()? == host).then_some(path);
    }
    let (server, path) = text.split_once(':').filter(|(server, _)| server.contains('@'))?;
    let same = !server.contains('/') && server.rsplit('@').next()? == host;
    same.then(|| path.trim_start_matches('/'))
}

/// With the token on the repository's own host and by its own scheme, elsewhere without.
fn source_of(own: &Source, url: RepoUrl) -> Source {
    let same = (url.scheme(), url.host()) == (own.url.scheme(), own.url.host());
    Source { url, token: own.token.clone().filter(|_| same), ..own.clone() }
}

/// The folder of a submodule, which git made and which no link leads to.
fn place(work_tree: &Path, path: &str) -> Result<PathBuf, CheckoutError> {
    let place = work_tree.join(path);
    let odd = path.split('/').any(|part| part.eq_ignore_ascii_case(".git"));
    match place.canonicalize() {
        Ok(real) if real == place && real.is_dir() && !odd => Ok(place),
        _ => Err(refused(path, "its place is no folder of the work tree".to_owned())),
    }
}

/// Gets the one commit, by its name where the remote allows that, and checks it out.
async fn fetch(git: &Git, source: &Source, into: &Path, link: &Link) -> Result<(), CheckoutError> {
    let made = || {
        let mut options = RepositoryInitOptions::new();
        options.external_template(false);
        let repository = Repository::init_opts(into, &options)?;
        repository.remote("origin", source.url.as_str()).map(drop)?;
        Ok(repository)
    };
    let failed = |source| CheckoutError::Submodules { source };
    let repository = made().map_err(failed)?;
    let commit = CommitId::from(link.commit);
    let one = format!("+{commit}:refs/remotes/origin/wanted");
    let clone = FetchInto::Clone(into);
    if let Err(error) = git.fetch(source, clone, Some(1), &[one]).await {
        tracing::debug!(%error, path = link.path, "the remote does not give the commit alone");
        let all = "+refs/heads/*:refs/remotes/origin/*".to_owned();
        git.fetch(source, clone, None, &[all]).await?;
    }
    repository.set_head_detached(link.commit).map_err(failed)?;
    Ok(git.check_out_head(into).await?)
}

fn refused(path: &str, reason: String) -> CheckoutError {
    CheckoutError::Submodule { path: path.escape_debug().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::git::testing::run;
    use crate::token::TokenSource;

    const BASE: &str = "https://forge.example:8443/acme/shop.git";

    fn resolved(text: &str) -> Result<String, String> {
        resolve(&BASE.parse().unwrap(), text).map(|url| url.to_string())
    }

    #[test]
    fn a_folder_whose_name_is_no_text_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        let odd = tree.join(OsStr::from_bytes(b"b\xffd"));
        std::fs::create_dir(&odd).unwrap();
        std::fs::write(odd.join("file"), "x").unwrap();
        run(tree, &["init", "-q"]);
        run(tree, &["add", "-A"]);
        let commit = "1111111111111111111111111111111111111111";
        let link = format!("160000,{commit},libs/lib");
        run(tree, &["update-index", "--add", "--cacheinfo", &link]);
        run(tree, &["commit", "-q", "-m", "first"]);
        let level = Level {
            git_dir: tree.join(".git"),
            work_tree: tree.to_owned(),
            url: BASE.parse().unwrap(),
            commit: run(tree, &["rev-parse", "HEAD"]).parse().unwrap(),
            depth: 0,
        };
        let (links, _) = read(&level).unwrap();
        let links: Vec<_> =
            links.iter().map(|link| (link.path.as_str(), link.commit.to_string())).collect();
        assert_eq!(links, [("libs/lib", commit.to_owned())]);
    }

    #[test]
    fn relative_addresses_stay_on_the_host() {
        for (text, expected) in [
            ("../lib.git", "https://forge.example:8443/acme/lib.git"),
            ("../../other/lib", "https://forge.example:8443/other/lib"),
            ("./lib", "https://forge.example:8443/acme/shop/lib"),
        ] {
            assert_eq!(resolved(text).unwrap(), expected);
        }
        for text in ["../../../x", "../../../../etc/passwd"] {
            resolved(text).unwrap_err();
        }
    }

    #[test]
    fn addresses_for_ssh_count_on_the_same_host_alone() {
        for text in ["git@forge.example:acme/lib.git", "ssh://git@forge.example:22/acme/lib.git"] {
            assert_eq!(resolved(text).unwrap(), "https://forge.example:8443/acme/lib.git");
        }
        for text in ["git@evil.example:acme/lib.git", "ssh://git@evil.example/acme/lib"] {
            resolved(text).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for text in [
            "ext::sh -c touch% /tmp/x",
            "file:///etc",
            "/etc",
            "--upload-pack=touch /tmp/x",
            "-u",
            "git://forge.example/acme/lib",
            "https://user:password@forge.example/acme/lib",
            "",
        ] {
            resolved(text).unwrap_err();
        }
    }

    #[test]
    fn the_token_is_for_the_repository_s_own_host() {
        let own = Source {
            url: BASE.parse().unwrap(),
            token: Some(TokenSource::fixed("t")),
            token_user: "x-access-token",
        };
        let has_token = |url: &str| source_of(&own, url.parse().unwrap()).token.is_some();
        assert!(has_token("https://forge.example:8443/other/lib"));
        for other in [
            "http://forge.example:8443/other/lib",
            "https://forge.example/other/lib",
            "https://evil.example:8443/other/lib",
        ] {
            assert!(!has_token(other), "{other}");
        }
    }

    #[test]
    fn of_the_file_only_path_and_address_of_one_name_are_taken() {
        let entry = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let entries = [
            entry("submodule.a.path", "libs/a"),
            entry("submodule.a.url", "../a"),
            entry("submodule.a.update", "!touch /tmp/x"),
            entry("submodule.../../x.path", "libs/b"),
            entry("submodule.b.url", "../b"),
        ];
        let urls = by_path(&entries);
        assert_eq!(urls, BTreeMap::from([("libs/a".to_owned(), "../a".to_owned())]));
    }

    #[test]
    fn a_place_that_a_link_leads_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(tree.join("libs/a")).unwrap();
        std::os::unix::fs::symlink("/", tree.join("link")).unwrap();
        place(&tree, "libs/a").unwrap();
        for path in ["link/tmp", "link", "../x", "libs/b", "libs/.GIT/x"] {
            place(&tree, path).unwrap_err();
        }
    }
}
