use std::fs;
use std::time::Duration;

use super::*;
use crate::git::testing::{Remote as Origin, git, git_until, run, ticket};

async fn clone(origin: &Origin, name: &str) -> Result<Checkout, CheckoutError> {
    clone_ticket_branch(&git(), &origin.source(), &origin.place(name), &ticket(), None).await
}

async fn worktree(
    git: &Git,
    repository: &Path,
    source: &Source,
    into: &Path,
) -> Result<Checkout, CheckoutError> {
    let held = HeldRepository::take(git, repository, async || ()).await?;
    worktree_of(git, held, source, into, &ticket()).await
}

/// A repository of a user, cloned from the remote, with work in progress in its tree.
fn users_repository(origin: &Origin) -> PathBuf {
    let path = origin.place("users");
    run(origin.folder.path(), &["clone", "-q", origin.path().to_str().unwrap(), "users"]);
    fs::write(path.join("README"), "half a thought\n").unwrap();
    fs::write(path.join("staged"), "staged\n").unwrap();
    run(&path, &["add", "staged"]);
    fs::write(path.join("notes"), "untracked\n").unwrap();
    path
}

/// Everything by which a user could notice us: branch, status, refs, worktrees, configuration.
fn traces(repository: &Path) -> String {
    let outputs = [
        &["status", "--porcelain=v2", "--branch"][..],
        &["for-each-ref"],
        &["worktree", "list", "--porcelain"],
        &["config", "--list", "--local"],
        &["stash", "list"],
    ];
    let mut all: Vec<String> = outputs.map(|arguments| run(repository, arguments)).into();
    let mut files: Vec<String> = fs::read_dir(repository.join(".git"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "worktrees")
        .collect();
    files.sort();
    all.extend(files);
    all.join("\n")
}

#[tokio::test]
async fn a_fresh_ticket_starts_at_the_real_default_branch() {
    let origin = Origin::new("develop");
    origin.commit("main", "README", "not the default\n");
    let checkout = clone(&origin, "tree").await.unwrap();
    assert_eq!(checkout.base_branch().as_str(), "develop");
    assert_eq!(checkout.start(), Start::Fresh);
    assert_eq!(checkout.base_commit().to_string(), origin.head("develop"));
    assert_eq!(fs::read_to_string(checkout.path().join("README")).unwrap(), "hello\n");
    assert_eq!(run(checkout.path(), &["branch", "--show-current"]), ticket().as_str());
    assert_eq!(run(checkout.path(), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_clone_is_shallow_and_of_one_branch() {
    let origin = Origin::new("main");
    origin.commit("main", "README", "two\n");
    origin.commit("other", "x", "x\n");
    let checkout = clone(&origin, "tree").await.unwrap();
    assert_eq!(run(checkout.path(), &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(run(checkout.path(), &["branch", "-r", "--list", "*other"]), "");
}

#[tokio::test]
async fn a_branch_of_the_ticket_on_the_remote_is_continued() {
    let origin = Origin::new("main");
    let begun = origin.commit(ticket().as_str(), "begun", "by an earlier run\n");
    let newer = origin.commit("main", "README", "moved on\n");
    let checkout = clone(&origin, "tree").await.unwrap();
    assert_eq!(checkout.start(), Start::Continued);
    assert_eq!(checkout.start_commit().to_string(), begun);
    assert_eq!(checkout.base_commit().to_string(), newer);
    assert!(checkout.path().join("begun").is_file());
    assert_eq!(fs::read_to_string(checkout.path().join("README")).unwrap(), "hello\n");
}

#[tokio::test]
async fn a_remote_without_a_commit_or_a_default_branch_is_a_clear_error() {
    let empty = clone(&Origin::empty("main"), "tree").await.unwrap_err();
    assert!(matches!(empty, CheckoutError::Empty { .. }), "{empty}");

    let detached = Origin::new("main");
    run(&detached.path(), &["update-ref", "--no-deref", "HEAD", &detached.head("main")]);
    let error = clone(&detached, "tree").await.unwrap_err();
    assert!(matches!(error, CheckoutError::Detached { .. }), "{error}");
}

#[tokio::test]
async fn a_remote_that_is_not_there_is_a_git_error_that_names_it() {
    let origin = Origin::new("main");
    fs::remove_dir_all(origin.path()).unwrap();
    let error = clone(&origin, "tree").await.unwrap_err();
    assert!(matches!(error, CheckoutError::Git(_)));
    assert!(error.to_string().contains("remote.git"), "{error}");
}

#[tokio::test]
async fn nothing_of_ours_is_in_the_clone() {
    let origin = Origin::new("main");
    let checkout = clone(&origin, "tree").await.unwrap();
    let config = run(checkout.path(), &["config", "--list", "--local"]);
    for name in ["user.", "credential", "hookspath", "http.", "agent"] {
        assert!(!config.to_lowercase().contains(name), "{name} in {config}");
    }
    let files: Vec<_> = fs::read_dir(checkout.path()).unwrap().collect();
    assert_eq!(files.len(), 2, "README and .git: {files:?}");
}

#[tokio::test]
async fn a_worktree_leaves_the_user_s_tree_index_and_branches_alone() {
    let origin = Origin::new("main");
    let users = users_repository(&origin);
    let newer = origin.commit("main", "newer", "pushed after the user's last fetch\n");
    let before = traces(&users);

    let git = git();
    let into = origin.place("tree");
    let checkout = worktree(&git, &users, &origin.source(), &into).await.unwrap();
    assert_eq!(checkout.base_commit().to_string(), newer);
    assert!(checkout.path().join("newer").is_file());
    assert_eq!(fs::read_to_string(checkout.path().join("README")).unwrap(), "hello\n");
    assert_eq!(run(checkout.path(), &["branch", "--show-current"]), "", "detached");
    assert_eq!(run(checkout.path(), &["status", "--porcelain"]), "");
    assert_eq!(run(&users, &["branch", "--list", "ticket-*"]), "");

    checkout.remove(&git).await.unwrap();
    assert!(!into.exists());
    assert_eq!(traces(&users), before);
}

#[tokio::test]
async fn a_worktree_continues_the_ticket_s_branch_of_the_remote() {
    let origin = Origin::new("main");
    let users = users_repository(&origin);
    let begun = origin.commit(ticket().as_str(), "begun", "by an earlier run\n");
    let git = git();
    let into = origin.place("tree");
    let checkout = worktree(&git, &users, &origin.source(), &into).await.unwrap();
    assert_eq!(checkout.start(), Start::Continued);
    assert_eq!(run(checkout.path(), &["rev-parse", "HEAD"]), begun);
    checkout.remove(&git).await.unwrap();
}

#[tokio::test]
async fn filters_and_hooks_of_the_user_s_repository_do_not_run_for_a_worktree() {
    let origin = Origin::new("main");
    origin.commit("main", ".gitattributes", "* filter=evil\n");
    let users = users_repository(&origin);
    let mark = origin.place("ran");
    let command = format!("touch '{}'; cat", mark.display());
    run(&users, &["config", "filter.evil.smudge", &command]);
    run(&users, &["config", "core.fsmonitor", &command]);
    write_hook(&users.join(".git/hooks/post-checkout"), &mark);
    let git = git();
    let into = origin.place("tree");
    let checkout = worktree(&git, &users, &origin.source(), &into).await.unwrap();
    assert!(checkout.path().join(".gitattributes").is_file());
    checkout.remove(&git).await.unwrap();
    assert!(!mark.exists(), "something of the repository was run");
}

fn write_hook(path: &Path, mark: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\ntouch '{}'\n", mark.display())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_second_run_from_one_repository_waits_for_the_first() {
    let origin = Origin::new("main");
    let users = users_repository(&origin);
    let (git, source) = (git(), origin.source());
    let first = worktree(&git, &users, &source, &origin.place("one")).await.unwrap();
    // By another name for the same folder, too.
    let link = origin.place("link");
    std::os::unix::fs::symlink(&users, &link).unwrap();
    let second = HeldRepository::take(&git, &link, async || ());
    let waited = tokio::time::timeout(Duration::from_secs(1), second).await;
    assert!(waited.is_err(), "both have it");
    assert!(first.path().join("README").is_file());

    // The first ends when the second says that it waits.
    let end_the_first = async || first.remove(&git).await.unwrap();
    let held = HeldRepository::take(&git, &link, end_the_first).await.unwrap();
    let into = origin.place("three");
    let third = worktree_of(&git, held, &source, &into, &ticket()).await.unwrap();
    third.remove(&git).await.unwrap();
}

#[tokio::test]
async fn a_repository_of_another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let origin = Origin::new("main");
    let repository = users_repository(&origin);
    for theirs in [repository.join(".git"), repository.clone()] {
        std::os::unix::fs::chown(theirs, Some(12345), None).unwrap();
    }
    let into = origin.place("worktree");
    let error = worktree(&git(), &repository, &origin.source(), &into).await.unwrap_err();
    assert!(api_client::error_chain(&error).contains("dubious ownership"), "{error:?}");
}

#[tokio::test]
async fn the_worktree_of_a_run_that_was_killed_is_removed_by_the_next() {
    let origin = Origin::new("main");
    let users = users_repository(&origin);
    let before = traces(&users);
    let (git, source) = (git(), origin.source());
    let (dead, gone) = (origin.place("dead"), origin.place("gone"));
    // As a kill would: the lock goes, the worktree and its record stay.
    drop(worktree(&git, &users, &source, &dead).await.unwrap());
    assert!(dead.exists());
    let next = worktree(&git, &users, &source, &gone).await.unwrap();
    assert!(!dead.exists());
    drop(next);
    fs::remove_dir_all(&gone).unwrap();
    let last = worktree(&git, &users, &source, &origin.place("last")).await.unwrap();
    last.remove(&git).await.unwrap();
    assert_eq!(traces(&users), before);
}

#[tokio::test]
async fn a_worker_that_removes_the_git_file_blocks_neither_its_removal_nor_the_next_run() {
    let origin = Origin::new("main");
    let users = users_repository(&origin);
    let before = traces(&users);
    let (git, source) = (git(), origin.source());
    let (dead, into) = (origin.place("dead"), origin.place("next"));
    let killed = worktree(&git, &users, &source, &dead).await.unwrap();
    fs::remove_file(dead.join(".git")).unwrap();
    drop(killed);
    let next = worktree(&git, &users, &source, &into).await.unwrap();
    assert!(!dead.exists());
    fs::write(into.join(".git"), "gitdir: /nonexistent\n").unwrap();
    next.remove(&git).await.unwrap();
    assert!(!into.exists());
    assert_eq!(traces(&users), before);
}

#[tokio::test]
async fn the_worktree_of_a_cancelled_run_is_removed() {
    let origin = Origin::new("main");
    let users = users_repository(&origin);
    let before = traces(&users);
    let cancel = tokio_util::sync::CancellationToken::new();
    let (git, source, into) = (git_until(cancel.clone()), origin.source(), origin.place("tree"));
    let checkout = worktree(&git, &users, &source, &into).await.unwrap();
    cancel.cancel();
    checkout.remove(&git).await.unwrap();
    assert!(!into.exists());
    assert_eq!(traces(&users), before);
}

#[tokio::test]
async fn a_folder_that_is_no_repository_is_refused_even_within_one() {
    let origin = Origin::new("main");
    let users = users_repository(&origin);
    let inner = users.join("inner");
    fs::create_dir(&inner).unwrap();
    let into = origin.place("tree");
    let error = worktree(&git(), &inner, &origin.source(), &into).await.unwrap_err();
    assert!(error.to_string().contains("not a git repository"), "{error}");
    assert!(!into.exists());
}

/// Commits to the branch of saved work, which begins at another one.
fn save(origin: &Origin, from: &str) -> String {
    let rescue = ticket().rescue();
    run(&origin.path(), &["branch", rescue.as_str(), from]);
    origin.commit(rescue.as_str(), "half", "unfinished\n")
}

/// Where the work begins, by a clone and by a worktree.
async fn starts(origin: &Origin) -> (Start, String) {
    let cloned = clone(origin, "tree").await.unwrap();
    let users = users_repository(origin);
    let git = git();
    let tree = origin.place("worktree");
    let linked = worktree(&git, &users, &origin.source(), &tree).await.unwrap();
    let seen = |checkout: &Checkout| {
        let head = run(checkout.path(), &["rev-parse", "HEAD"]);
        assert_eq!(head, checkout.start_commit().to_string());
        assert_eq!(run(checkout.path(), &["status", "--porcelain"]), "");
        (checkout.start(), head)
    };
    let both = [seen(&cloned), seen(&linked)];
    assert_eq!(both[0], both[1]);
    linked.remove(&git).await.unwrap();
    both[0].clone()
}

#[tokio::test]
async fn saved_work_is_continued_where_it_has_what_was_published() {
    let origin = Origin::new("main");
    origin.commit(ticket().as_str(), "begun", "1\n");
    let saved = save(&origin, ticket().as_str());
    assert_eq!(starts(&origin).await, (Start::Rescued, saved));
}

#[tokio::test]
async fn saved_work_that_lacks_what_was_published_is_not_begun_at() {
    let origin = Origin::new("main");
    save(&origin, "main");
    let published = origin.commit(ticket().as_str(), "begun", "1\n");
    assert_eq!(starts(&origin).await, (Start::Continued, published));
}

#[tokio::test]
async fn saved_work_from_before_the_ticket_was_merged_is_not_begun_at() {
    let origin = Origin::new("main");
    save(&origin, "main");
    origin.commit("main", "done", "1\n");
    let message = format!("Merge pull request #7 from acme/{}", ticket());
    let tree = run(&origin.path(), &["rev-parse", "main^{tree}"]);
    let merged = ["-c", "user.name=P", "-c", "user.email=p@x", "commit-tree", "-p", "main", "-m"];
    let merge = run(&origin.path(), &[&merged[..], &[&message, &tree]].concat());
    run(&origin.path(), &["update-ref", "refs/heads/main", &merge]);
    assert_eq!(starts(&origin).await, (Start::Fresh, merge));
}
