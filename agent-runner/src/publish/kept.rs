//! The state of a work tree as one file, from which a later run has the same tree again.
//!
//! Invariant: the file holds what the start of the work lacks and no more, so that it is as small as the work;
//! it is read as a pack of git, so that each object in it is what its name says. Nothing is put into a work
//! tree but ordinary paths below it, whatever names such a file has: libgit2 refuses the others.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Indexer, ObjectType, Oid, Repository};
use serde::{Deserialize, Serialize};

use super::stage::newest;
use super::{ByProducts, PublishError, Snapshot, on_thread, snapshot, staged};
use crate::checkout::Checkout;
use crate::git::{CommitId, Git};

/// Largest state that is kept, in bytes, before it is compressed.
const SIZE_MAX: usize = 64 << 20;

/// Most commits of the worker's own that are kept.
const COMMITS_MAX: usize = 1_000;

/// Which objects of such a file are what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptTree {
    /// The whole tree, by-products among it.
    tree: Snapshot,
    /// Where the worker's own commits have come to, where it made any.
    head: Option<CommitId>,
}

#[cfg(test)]
impl KeptTree {
    /// Some tree.
    pub(crate) fn of_start(commit: CommitId) -> Self {
        Self { tree: Snapshot(commit.oid()), head: None }
    }
}

/// A state of a work tree that can be written to a file.
#[derive(Debug)]
pub(crate) struct PackedTree {
    pub(crate) kept: KeptTree,
    /// The file's content.
    pub(crate) pack: Vec<u8>,
}

/// Packs the work tree as it is now, with what is needed of an `earlier` state and of what commands left.
///
/// # Errors
/// When the tree cannot be read, or is too much.
pub(crate) async fn pack_tree(
    git: &Git,
    checkout: &Checkout,
    earlier: Option<Snapshot>,
    by_products: &ByProducts,
) -> Result<PackedTree, PublishError> {
    let tree = snapshot(git, checkout).await?;
    // What the next look at the work will compare with.
    let work = staged(git, checkout, by_products).await?;
    let (start, workers_head) = (checkout.start_commit().oid(), checkout.workers_head());
    let before = by_products.contents_before();
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let start = repository.find_commit(start)?;
        let head = newest(&repository, start.clone(), workers_head)?;
        let mut pack = Pack::beside(&repository, start.tree_id())?;
        pack.add_tree(tree.0)?;
        pack.add_tree(work.0)?;
        earlier.map_or(Ok(()), |earlier| pack.add_tree(earlier.0))?;
        before.into_iter().try_for_each(|blob| pack.add(blob))?;
        pack.add_commits(head.id(), start.id())?;
        let head = (head.id() != start.id()).then(|| CommitId::from(head.id()));
        Ok(PackedTree { kept: KeptTree { tree, head }, pack: pack.finish()? })
    })
    .await
}

/// Makes the objects of such a pack known.
///
/// # Errors
/// When it is no pack, or cannot be had.
pub(crate) async fn unpack_tree(
    git: &Git,
    checkout: &Checkout,
    pack: Vec<u8>,
) -> Result<(), PublishError> {
    let packs = checkout.shadow().objects().join("pack");
    on_thread(checkout.shadow(), git.cancel(), move |_| unpack(&pack, &packs)).await
}

/// Brings the work tree, which must be as it was checked out, to a state whose pack was unpacked: one of work that
/// began at the same commit. The worker's own commits are there again.
///
/// # Errors
/// When that cannot be done: what is in the work tree then is no work.
pub(crate) async fn check_out_tree(
    git: &Git,
    checkout: &Checkout,
    kept: KeptTree,
) -> Result<(), PublishError> {
    let (start, clone) = (checkout.start_commit(), checkout.is_clone());
    let (git_dir, branch) = (checkout.shadow().common_dir().to_owned(), checkout.branch().to_ref());
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        check_out(&repository, start.oid(), kept.tree.0)?;
        // What git ignores by now was part of the work before, and stays so.
        let mut index = repository.index()?;
        index.read_tree(&repository.find_tree(kept.tree.0)?)?;
        index.write()?;
        if let Some(head) = kept.head
            && clone
        {
            let of_worker = Repository::open_bare(git_dir)?;
            of_worker.reference(&branch, head.oid(), true, "")?;
            let mut index = of_worker.index()?;
            index.read_tree(&of_worker.find_commit(head.oid())?.tree()?)?;
            index.write()?;
        }
        Ok(())
    })
    .await?;
    match snapshot(git, checkout).await? == kept.tree {
        true => Ok(()),
        false => Err(PublishError::NotRestored),
    }
}

/// Puts what differs between a commit and a tree into the work tree.
fn check_out(repository: &Repository, from: Oid, to: Oid) -> Result<(), git2::Error> {
    let (old, new) = (repository.find_commit(from)?.tree()?, repository.find_tree(to)?);
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), None)?;
    let mut how = CheckoutBuilder::new();
    how.force().disable_pathspec_match(true).update_index(false);
    let mut any = false;
    for delta in diff.deltas() {
        for file in [delta.old_file(), delta.new_file()] {
            if let Some(path) = file.path_bytes() {
                how.path(path);
                any = true;
            }
        }
    }
    // Without any path, all of them would be meant.
    if !any {
        return Ok(());
    }
    repository.checkout_tree(new.as_object(), Some(&mut how))
}

fn unpack(pack: &[u8], packs: &Path) -> Result<(), git2::Error> {
    let mut indexer = Indexer::new(None, packs, 0, false)?;
    let failed = |error: io::Error| git2::Error::from_str(&error.to_string());
    indexer.write_all(pack).map_err(failed)?;
    indexer.commit().map(drop)
}

/// A pack that is gathered.
struct Pack<'r> {
    repository: &'r Repository,
    builder: git2::PackBuilder<'r>,
    /// The tree that is there wherever it is read.
    base: Oid,
    there: HashSet<Oid>,
    size: usize,
}

impl<'r> Pack<'r> {
    fn beside(repository: &'r Repository, base: Oid) -> Result<Self, git2::Error> {
        let builder = repository.packbuilder()?;
        Ok(Self { repository, builder, base, there: HashSet::new(), size: 0 })
    }

    /// Adds what a tree has and the base has not at the same place.
    fn add_tree(&mut self, tree: Oid) -> Result<(), git2::Error> {
        self.add_below(tree, Some(self.base))
    }

    fn add_below(&mut self, tree: Oid, base: Option<Oid>) -> Result<(), git2::Error> {
        // The tree itself always, so that a pack is never empty.
        self.add(tree)?;
        if base == Some(tree) {
            return Ok(());
        }
        let tree = self.repository.find_tree(tree)?;
        let base = base.map(|base| self.repository.find_tree(base)).transpose()?;
        for entry in &tree {
            let before = base.as_ref().and_then(|base| base.get_name_bytes(entry.name_bytes()));
            if before.as_ref().is_some_and(|before| before.id() == entry.id()) {
                continue;
            }
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    // It may have been a file.
                    let before = before.filter(|was| was.kind() == Some(ObjectType::Tree));
                    self.add_below(entry.id(), before.map(|was| was.id()))?;
                }
                Some(ObjectType::Blob) => self.add(entry.id())?,
                // A link to a commit of another repository.
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the commits from one to another that it comes from, with their trees.
    fn add_commits(&mut self, head: Oid, start: Oid) -> Result<(), git2::Error> {
        let mut walk = self.repository.revwalk()?;
        walk.push(head)?;
        walk.hide(start)?;
        for (number, commit) in walk.enumerate() {
            let commit = self.repository.find_commit(commit?)?;
            if number == COMMITS_MAX {
                return Err(too_much(&format!("{COMMITS_MAX} commits")));
            }
            self.add(commit.id())?;
            self.add_tree(commit.tree_id())?;
        }
        Ok(())
    }

    fn add(&mut self, object: Oid) -> Result<(), git2::Error> {
        let odb = self.repository.odb()?;
        if !self.there.insert(object) {
            return Ok(());
        }
        let (size, _) = odb.read_header(object)?;
        self.size = self.size.saturating_add(size);
        if self.size > SIZE_MAX {
            return Err(too_much(&format!("{} MiB", SIZE_MAX >> 20)));
        }
        self.builder.insert_object(object, None)
    }

    fn finish(mut self) -> Result<Vec<u8>, git2::Error> {
        let mut pack = Vec::new();
        self.builder.foreach(|bytes| {
            pack.extend_from_slice(bytes);
            true
        })?;
        Ok(pack)
    }
}

fn too_much(limit: &str) -> git2::Error {
    git2::Error::from_str(&format!(
        "the work is more than is kept from one try to the next ({limit})"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::testing::Scene;
    use super::*;
    use crate::checkout::clone_ticket_branch;
    use crate::git::testing::{Remote, run, ticket};

    async fn packed(scene: &Scene) -> PackedTree {
        let none = ByProducts::default();
        pack_tree(&scene.git, &scene.checkout, None, &none).await.unwrap()
    }

    /// Another checkout of the same repository, brought to that state.
    async fn restored(scene: &Scene, packed: PackedTree) -> Checkout {
        let (git, source) = (&scene.git, scene.origin.source());
        let into = scene.origin.place("again");
        let again = clone_ticket_branch(git, &source, &into, &ticket(), None).await.unwrap();
        unpack_tree(git, &again, packed.pack).await.unwrap();
        check_out_tree(git, &again, packed.kept).await.unwrap();
        again
    }

    #[tokio::test]
    async fn a_tree_is_again_as_it_was_with_links_modes_and_what_is_gone() {
        let origin = Remote::new("main");
        origin.commit("main", "gone", "x\n");
        origin.commit("main", "folder/kept", "x\n");
        let scene = Scene::of(origin).await;
        let tree = scene.checkout.path();
        scene.write("new/deep/file", "1\n");
        scene.write("folder/kept", "changed\n");
        fs::set_permissions(tree.join("folder/kept"), Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(tree.join("gone")).unwrap();
        symlink("/etc/passwd", tree.join("link")).unwrap();
        let before = snapshot(&scene.git, &scene.checkout).await.unwrap();
        let again = restored(&scene, packed(&scene).await).await;
        assert_eq!(snapshot(&scene.git, &again).await.unwrap(), before);
        assert!(!again.path().join("gone").exists());
        assert_eq!(fs::read_link(again.path().join("link")).unwrap(), Path::new("/etc/passwd"));
    }

    #[tokio::test]
    async fn what_git_came_to_ignore_and_a_file_that_became_a_folder_are_again_as_they_were() {
        let origin = Remote::new("main");
        origin.commit("main", "config", "x\n");
        let scene = Scene::of(origin).await;
        scene.write("build/made", "1\n");
        snapshot(&scene.git, &scene.checkout).await.unwrap();
        scene.write(".gitignore", "build/\n");
        fs::remove_file(scene.checkout.path().join("config")).unwrap();
        scene.write("config/one", "1\n");
        let before = snapshot(&scene.git, &scene.checkout).await.unwrap();
        let again = restored(&scene, packed(&scene).await).await;
        assert_eq!(snapshot(&scene.git, &again).await.unwrap(), before);
        assert!(
            again.path().join("build/made").exists() && again.path().join("config/one").exists()
        );
    }

    #[tokio::test]
    async fn the_workers_own_commits_are_there_again() {
        let scene = Scene::new().await;
        let tree = scene.checkout.path();
        scene.write("first", "1\n");
        run(tree, &["add", "-A"]);
        run(tree, &["commit", "-q", "-m", "by the worker"]);
        scene.write("second", "2\n");
        let head = run(tree, &["rev-parse", "HEAD"]);
        let again = restored(&scene, packed(&scene).await).await;
        assert_eq!(run(again.path(), &["rev-parse", "HEAD"]), head);
        assert_eq!(run(again.path(), &["status", "--porcelain"]), "?? second");
    }

    #[tokio::test]
    async fn a_state_is_as_large_as_the_work_and_not_as_the_repository() {
        let origin = Remote::new("main");
        origin.commit("main", "large", &"many different lines\n".repeat(50_000));
        let scene = Scene::of(origin).await;
        scene.write("small", "x\n");
        assert!(packed(&scene).await.pack.len() < 4 << 10);
    }

    #[tokio::test]
    async fn what_is_no_pack_changes_nothing() {
        let scene = Scene::new().await;
        scene.write("new", "x\n");
        let mut pack = packed(&scene).await.pack;
        let before = snapshot(&scene.git, &scene.checkout).await.unwrap();
        pack.truncate(pack.len() / 2);
        unpack_tree(&scene.git, &scene.checkout, pack).await.unwrap_err();
        assert_eq!(snapshot(&scene.git, &scene.checkout).await.unwrap(), before);
    }

    #[tokio::test]
    async fn a_tree_that_does_not_come_out_as_it_was_is_an_error() {
        let scene = Scene::new().await;
        scene.write("new", "x\n");
        let PackedTree { kept, pack } = packed(&scene).await;
        let (git, source) = (&scene.git, scene.origin.source());
        let into = scene.origin.place("again");
        let again = clone_ticket_branch(git, &source, &into, &ticket(), None).await.unwrap();
        fs::write(again.path().join("other"), "x").unwrap();
        unpack_tree(git, &again, pack).await.unwrap();
        let error = check_out_tree(git, &again, kept).await.unwrap_err();
        assert!(matches!(error, PublishError::NotRestored), "{error}");
    }
}
