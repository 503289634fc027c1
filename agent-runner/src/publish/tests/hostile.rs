//! What a work tree and its git directory may hold after a worker was there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::testing::Scene;
use super::super::*;
use crate::git::testing::{Remote, run, ticket};

#[tokio::test]
async fn a_hostile_git_directory_runs_nothing_and_redirects_nothing() {
    let scene = Scene::new().await;
    let tree = scene.checkout.path();
    let mark = scene.origin.place("ran");
    let evil = format!("touch '{}'; cat", mark.display());
    for name in ["pre-commit", "pre-push", "post-commit", "reference-transaction"] {
        let hook = tree.join(".git/hooks").join(name);
        fs::write(&hook, format!("#!/bin/sh\n{evil}\n")).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let elsewhere = scene.origin.place("elsewhere.git");
    run(scene.origin.folder.path(), &["init", "-q", "--bare", "elsewhere.git"]);
    let here = format!("file://{}/", scene.origin.path().display());
    for (name, value) in [
        ("core.fsmonitor", evil.as_str()),
        ("core.sshCommand", &evil),
        ("filter.evil.clean", &evil),
        ("filter.evil.process", &evil),
        ("credential.helper", &format!("!{evil}")),
        ("gpg.program", &evil),
        ("commit.gpgSign", "true"),
        ("core.worktree", "/etc"),
        ("core.excludesFile", "/dev/null"),
        ("remote.origin.pushurl", "https://evil.example/x"),
        (&format!("url.file://{}.insteadOf", elsewhere.display()), &here),
    ] {
        run(tree, &["--git-dir=.git", "config", name, value]);
    }
    scene.write(".gitattributes", "* filter=evil\n");
    scene.write(".git/info/exclude", "*\n");
    scene.write("mine", "x\n");
    scene.publish().await;
    assert_eq!(scene.remote_files(), ".gitattributes\nREADME\nmine");
    assert!(!mark.exists(), "something of the repository was run");
    assert_eq!(run(&elsewhere, &["for-each-ref"]), "");
}

#[tokio::test]
async fn repositories_within_the_tree_run_nothing_and_are_left_out() {
    let origin = Remote::new("main");
    origin.commit("main", "replaced", "a file, until the worker came\n");
    let scene = Scene::of(origin).await;
    let tree = scene.checkout.path();
    let mark = scene.origin.place("ran");
    fs::remove_file(tree.join("replaced")).unwrap();
    run(tree, &["clone", "-q", scene.origin.path().to_str().unwrap(), "replaced"]);
    run(tree, &["clone", "-q", scene.origin.path().to_str().unwrap(), "nested"]);
    let evil = format!("touch '{}'; cat", mark.display());
    run(&tree.join("nested"), &["config", "core.fsmonitor", &evil]);
    scene.write("nested/change", "x\n");
    scene.write("odd/.git", "gitdir: /nonexistent\n");
    scene.write("odd/file", "x\n");
    scene.write("mine", "x\n");
    scene.publish().await;
    let files = run(&scene.origin.path(), &["ls-tree", "-r", ticket().as_str()]);
    assert!(files.contains("mine") && !files.contains("nested"), "{files}");
    assert!(!files.contains("160000"), "{files}");
    // A second time, when the first has put them into the index or not.
    scene.write("more", "x\n");
    scene.commit().await.unwrap();
    assert!(!mark.exists(), "something of the repository was run");
}

/// Git would fetch a commit that is not there from a remote that promised it, by the configuration of
/// the work tree, in which a worker may name programs.
#[tokio::test]
async fn a_head_that_is_not_there_is_not_fetched_by_the_workers_configuration() {
    let scene = Scene::new().await;
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}/trap", server.local_addr().unwrap());
    for (name, value) in [
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", &url),
        ("core.alternateRefsCommand", "touch trapped"),
    ] {
        run(scene.checkout.path(), &["config", name, value]);
    }
    fs::write(scene.checkout.path().join(".git/HEAD"), "1".repeat(40)).unwrap();
    scene.write("work", "done\n");
    scene.publish().await;
    assert_eq!(scene.on_remote("work"), "done");
    let reached = server.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(reached, Err(std::io::ErrorKind::WouldBlock), "the trap's server was reached");
}

#[tokio::test]
async fn a_work_tree_without_its_git_directory_is_told_as_that() {
    let scene = Scene::new().await;
    fs::remove_dir_all(scene.checkout.path().join(".git")).unwrap();
    let author = Author::new("Agent", "agent@example.org").unwrap();
    let message = CommitMessage::new("Do it", "", &[]);
    let result =
        commit_all(&scene.git, &scene.checkout, &author, &message, &ByProducts::default()).await;
    assert!(matches!(result, Err(PublishError::NoObjects { .. })), "{result:?}");
}
