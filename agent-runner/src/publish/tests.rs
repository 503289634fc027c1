//! What is published of a work tree: what changed in it, as commits on top of what was there.

mod by_products;
mod hostile;
mod push;
mod words;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::testing::Scene;
use super::*;
use crate::checkout::{HeldRepository, worktree_of};
use crate::git::testing::{Remote, git, run, ticket};

#[tokio::test]
async fn what_changed_is_pushed_and_nothing_else() {
    let origin = Remote::new("main");
    origin.commit("main", "gone", "to be deleted\n");
    origin.commit("main", "script", "#!/bin/sh\n");
    origin.commit("main", ".gitignore", "*.log\n");
    origin.commit("main", "kept.log", "tracked though ignored\n");
    let scene = Scene::of(origin).await;
    let tree = scene.checkout.path();
    scene.write("README", "changed\n");
    scene.write("new/deep/file", "new\n");
    scene.write("noise.log", "ignored\n");
    scene.write("kept.log", "changed\n");
    fs::remove_file(tree.join("gone")).unwrap();
    fs::set_permissions(tree.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/hostname", tree.join("link")).unwrap();

    let commit = scene.publish().await;
    let changes = run(
        &scene.origin.path(),
        &["diff", "--name-status", "--no-renames", "main", ticket().as_str()],
    );
    assert_eq!(changes, "M\tREADME\nD\tgone\nM\tkept.log\nA\tlink\nA\tnew/deep/file\nM\tscript");
    let modes = run(&scene.origin.path(), &["ls-tree", ticket().as_str(), "link", "script"]);
    assert!(modes.contains("120000 blob") && modes.contains("100755 blob"), "{modes}");
    assert_eq!(scene.on_remote("link"), "/etc/hostname", "the link, not its target");
    let stat = diff_stat(&scene.git, &scene.checkout, commit).await.unwrap();
    assert_eq!(stat.to_string(), "6 files changed, +4 -3");
}

#[tokio::test]
async fn the_commit_is_by_the_author_on_top_of_the_start() {
    let scene = Scene::new().await;
    scene.write("new", "x");
    scene.publish().await;
    let log =
        run(&scene.origin.path(), &["log", "-1", "--format=%an|%ae|%cn|%P|%B", ticket().as_str()]);
    let start = scene.checkout.start_commit();
    assert_eq!(log, format!("Agent|agent@example.org|Agent|{start}|Do it\n\nBecause."));
}

#[tokio::test]
async fn without_a_change_there_is_nothing_to_publish() {
    let scene = Scene::new().await;
    assert_eq!(scene.commit().await, None);
    // Written again as it was, and a change that was taken back by a commit.
    scene.write("README", "hello\n");
    assert_eq!(scene.commit().await, None);
    scene.write("README", "x\n");
    run(scene.checkout.path(), &["commit", "-q", "-a", "-m", "one"]);
    run(scene.checkout.path(), &["revert", "--no-edit", "HEAD"]);
    assert_eq!(scene.commit().await, None);
}

#[tokio::test]
async fn commits_of_the_worker_are_kept() {
    let scene = Scene::new().await;
    scene.write("a", "a\n");
    run(scene.checkout.path(), &["add", "a"]);
    run(scene.checkout.path(), &["commit", "-q", "-m", "by the worker"]);
    let workers = run(scene.checkout.path(), &["rev-parse", "HEAD"]);
    assert_eq!(scene.commit().await.unwrap().to_string(), workers);

    scene.write("b", "b\n");
    scene.publish().await;
    let subjects = run(&scene.origin.path(), &["log", "--format=%s", ticket().as_str()]);
    assert_eq!(subjects, "Do it\nby the worker\nby a person");
}

#[tokio::test]
async fn a_worker_on_another_branch_or_with_rewritten_history_loses_nothing() {
    let scene = Scene::new().await;
    run(scene.checkout.path(), &["checkout", "-q", "--orphan", "elsewhere"]);
    scene.write("a", "a\n");
    run(scene.checkout.path(), &["add", "-A"]);
    run(scene.checkout.path(), &["commit", "-q", "-m", "without a past"]);
    scene.write("b", "b\n");
    scene.publish().await;
    assert_eq!(scene.remote_files(), "README\na\nb");
    let parent = run(&scene.origin.path(), &["rev-parse", &format!("{}^", ticket())]);
    assert_eq!(parent, scene.checkout.start_commit().to_string());
}

#[tokio::test]
async fn a_second_commit_goes_on_from_the_first() {
    let scene = Scene::new().await;
    scene.write("a", "a\n");
    let first = scene.commit().await.unwrap();
    assert_eq!(scene.commit().await, None);
    scene.write("b", "b\n");
    fs::remove_file(scene.checkout.path().join("a")).unwrap();
    let second = scene.publish().await;
    assert_eq!(scene.remote_files(), "README\nb");
    let parent = run(&scene.origin.path(), &["rev-parse", &format!("{second}^")]);
    assert_eq!(parent, first.to_string());
}

#[tokio::test]
async fn a_continued_branch_is_pushed_forward_and_compared_with_its_beginning() {
    let origin = Remote::new("main");
    origin.commit(ticket().as_str(), "begun", "1\n2\n");
    origin.commit("main", "others", "moved on\n");
    let scene = Scene::of(origin).await;
    scene.write("mine", "3\n");
    let commit = scene.publish().await;
    assert_eq!(scene.remote_files(), "README\nbegun\nmine");
    let stat = diff_stat(&scene.git, &scene.checkout, commit).await.unwrap();
    assert_eq!(stat, DiffStat { files: 2, insertions: 3, deletions: 0 });
}

#[tokio::test]
async fn a_submodule_that_was_not_fetched_stays_what_it_is() {
    let origin = Remote::new("main");
    let maker = tempfile::tempdir().unwrap();
    let url = origin.path();
    run(maker.path(), &["clone", "-q", url.to_str().unwrap(), "."]);
    let commit = run(maker.path(), &["rev-parse", "HEAD"]);
    fs::write(maker.path().join(".gitmodules"), "[submodule \"m\"]\npath = m\nurl = ../m\n")
        .unwrap();
    let entry = format!("160000,{commit},m");
    run(maker.path(), &["add", ".gitmodules"]);
    run(maker.path(), &["update-index", "--add", "--cacheinfo", &entry]);
    run(maker.path(), &["commit", "-q", "-m", "submodule"]);
    run(maker.path(), &["push", "-q", "origin", "HEAD:main"]);
    let scene = Scene::of(origin).await;
    assert_eq!(scene.commit().await, None);
    scene.write("mine", "x\n");
    scene.publish().await;
    let entry = run(&scene.origin.path(), &["ls-tree", ticket().as_str(), "m"]);
    assert!(entry.starts_with("160000 commit"), "{entry}");
}

#[tokio::test]
async fn a_worktree_is_published_like_a_clone() {
    let origin = Remote::new("main");
    run(origin.folder.path(), &["clone", "-q", origin.path().to_str().unwrap(), "users"]);
    let git = git();
    let into = origin.place("tree");
    let users = origin.place("users");
    let held = HeldRepository::take(&git, &users, async || ()).await.unwrap();
    let checkout = worktree_of(&git, held, &origin.source(), &into, &ticket()).await.unwrap();
    let scene = Scene { git, origin, checkout };
    assert_eq!(scene.commit().await, None);
    scene.write("a", "a\n");
    run(scene.checkout.path(), &["add", "a"]);
    run(scene.checkout.path(), &["commit", "-q", "-m", "by the worker"]);
    scene.write("b", "b\n");
    scene.publish().await;
    assert_eq!(scene.remote_files(), "README\na\nb");
    scene.checkout.remove(&scene.git).await.unwrap();
    assert_eq!(
        run(&users, &["for-each-ref", "--format=%(refname)", "refs/heads"]),
        "refs/heads/main"
    );
    assert_eq!(run(&users, &["status", "--porcelain"]), "");
}
