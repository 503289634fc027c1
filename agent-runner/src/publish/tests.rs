use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::testing::{Scene, commit_message};
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
async fn a_branch_that_moved_meanwhile_is_not_overwritten() {
    let scene = Scene::new().await;
    let others = scene.origin.commit(ticket().as_str(), "theirs", "by somebody else\n");
    scene.write("mine", "x");
    let commit = scene.commit().await.unwrap();
    let error = push(&scene.git, &scene.checkout, commit).await.unwrap_err();
    assert!(matches!(error, PublishError::RemoteMoved { .. }), "{error}");
    assert_eq!(scene.origin.head(ticket().as_str()), others);
}

#[tokio::test]
async fn a_branch_that_moved_meanwhile_is_not_overwritten_by_whom_git_believes_to_follow() {
    let origin = Remote::new("main");
    origin.commit(ticket().as_str(), "begun", "1\n");
    let scene = Scene::of(origin).await;
    let others = scene.origin.commit(ticket().as_str(), "theirs", "by somebody else\n");
    let url = scene.origin.path();
    run(scene.checkout.path(), &["fetch", "-q", url.to_str().unwrap(), ticket().as_str()]);
    run(scene.checkout.path(), &["merge", "-q", "FETCH_HEAD"]);
    scene.write("mine", "x");
    let commit = scene.commit().await.unwrap();
    let error = push(&scene.git, &scene.checkout, commit).await.unwrap_err();
    assert!(matches!(error, PublishError::RemoteMoved { .. }), "{error}");
    assert_eq!(scene.origin.head(ticket().as_str()), others);
}

#[tokio::test]
async fn a_refusal_of_the_remote_is_told_in_its_words() {
    let scene = Scene::new().await;
    let hook = scene.origin.path().join("hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\necho 'branch is protected' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    scene.write("mine", "x");
    let commit = scene.commit().await.unwrap();
    let error = push(&scene.git, &scene.checkout, commit).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("branch is protected"), "{error}");
}

#[tokio::test]
async fn a_push_that_the_remote_lost_is_noticed() {
    let scene = Scene::new().await;
    scene.write("mine", "x");
    let commit = scene.commit().await.unwrap();
    let error = verify(&scene.git, &scene.checkout, commit).await.unwrap_err();
    assert!(matches!(error, PublishError::NotVerified { found: None, .. }), "{error}");
    let others = scene.origin.commit(ticket().as_str(), "theirs", "x");
    let error = verify(&scene.git, &scene.checkout, commit).await.unwrap_err();
    assert!(error.to_string().ends_with(&others), "{error}");
}

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

#[test]
fn a_subject_is_one_line_of_at_most_72_characters() {
    let long = "ü".repeat(100);
    for (subject, body, expected) in [
        ("Fix it", "", "Fix it\n".to_owned()),
        ("\n  Fix it \nand more", "Why.", "Fix it\n\nWhy.\n".to_owned()),
        ("", " ", "Work by the agent\n".to_owned()),
        (&long, "", format!("{}…\n", "ü".repeat(71))),
        (&"x".repeat(72), "", format!("{}\n", "x".repeat(72))),
    ] {
        assert_eq!(CommitMessage::new(subject, body, &[]).0, expected);
    }
}

#[test]
fn an_author_that_no_commit_can_carry_is_refused_by_the_names_of_its_settings() {
    assert!(Author::new("Terarchitect Agent", "agent@terarchitect.local").is_ok());
    for (name, email) in [("", "a@b"), ("A", ""), ("<>", "a@b")] {
        let error = Author::new(name, email).unwrap_err().to_string();
        assert!(error.contains("GIT_USER_NAME"), "{error}");
    }
}

#[test]
fn the_stat_speaks_of_one_file_in_the_singular() {
    let stat = DiffStat { files: 1, insertions: 2, deletions: 0 };
    assert_eq!(stat.to_string(), "1 file changed, +2 -0");
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

#[test]
fn trailers_stand_at_the_end() {
    let trailers = [("Ticket", "1".to_owned()), ("Worker", "codex".to_owned())];
    let message = CommitMessage::new("Fix it", "Why.", &trailers);
    assert_eq!(message.0, "Fix it\n\nWhy.\n\nTicket: 1\nWorker: codex\n");
    assert_eq!(CommitMessage::new("Fix it", "", &trailers[..1]).0, "Fix it\n\nTicket: 1\n");
}

#[tokio::test]
async fn what_commands_leave_behind_is_no_work_unless_the_worker_changed_it() {
    let origin = Remote::new("main");
    origin.commit("main", "lock", "1\n");
    origin.commit("main", "gone", "1\n");
    let scene = Scene::of(origin).await;
    let mut by_products = ByProducts::default();
    let now = async || snapshot(&scene.git, &scene.checkout).await.unwrap();
    // The set-up.
    let before = now().await;
    scene.write("lock", "2\n");
    scene.write("report", "of the set-up\n");
    scene.write("both", "of the set-up\n");
    fs::remove_file(scene.checkout.path().join("gone")).unwrap();
    by_products.add(&scene.git, &scene.checkout, before, now().await).await.unwrap();
    let author = Author::new("Agent", "agent@example.org").unwrap();
    let message = commit_message("Do it");
    let commit = async |by_products: &ByProducts| {
        commit_all(&scene.git, &scene.checkout, &author, &message, by_products).await.unwrap()
    };
    assert_eq!(commit(&by_products).await, None, "a set-up alone is no work");
    // The worker.
    scene.write("mine", "x\n");
    scene.write("both", "changed by the worker\n");
    assert!(commit(&by_products).await.is_some());
    // The check, which changes what the set-up has changed.
    let before = now().await;
    scene.write("report", "of the check\n");
    by_products.add(&scene.git, &scene.checkout, before, now().await).await.unwrap();
    assert_eq!(commit(&by_products).await, None);
    scene.write("more", "y\n");
    let last = commit(&by_products).await.unwrap();
    push(&scene.git, &scene.checkout, last).await.unwrap();
    assert_eq!(scene.remote_files(), "README\nboth\ngone\nlock\nmine\nmore");
    assert_eq!(scene.on_remote("lock"), "1");
}

#[tokio::test]
async fn what_the_worker_commits_itself_is_its_work_though_a_command_made_it() {
    let scene = Scene::new().await;
    let mut by_products = ByProducts::default();
    let now = async || snapshot(&scene.git, &scene.checkout).await.unwrap();
    let before = now().await;
    scene.write("lock", "by the set-up\n");
    scene.write("report", "by the set-up\n");
    by_products.add(&scene.git, &scene.checkout, before, now().await).await.unwrap();
    run(scene.checkout.path(), &["add", "lock"]);
    run(scene.checkout.path(), &["commit", "-qm", "by the worker"]);
    let author = Author::new("Agent", "agent@example.org").unwrap();
    let message = commit_message("Do it");
    let commit = async || {
        commit_all(&scene.git, &scene.checkout, &author, &message, &by_products).await.unwrap()
    };
    assert!(commit().await.is_some());
    scene.write("more", "y\n");
    let last = commit().await.unwrap();
    push(&scene.git, &scene.checkout, last).await.unwrap();
    assert_eq!(scene.remote_files(), "README\nlock\nmore");
}
