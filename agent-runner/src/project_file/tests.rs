//! What counts, and what an error says.

use std::path::Path;

use git2::{ObjectType, Oid, Signature};

use super::*;
use crate::checkout::{Start, clone_ticket_branch};
use crate::git::testing::{Remote, git, ticket};

fn file(text: &str) -> ProjectFile {
    text.parse().unwrap()
}

fn refused(text: &str) -> String {
    let error = text.parse::<ProjectFile>().unwrap_err().to_string();
    assert!(error.starts_with(NAME) && !error.contains('\n'), "{error:?}");
    error
}

/// A repository of one commit, whose tree has these entries.
fn commit(entries: &[(&str, i32, &[u8])]) -> (tempfile::TempDir, Repository, CommitId) {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    let commit = {
        let mut tree = repository.treebuilder(None).unwrap();
        for (name, mode, content) in entries {
            let id = match mode {
                0o160_000 => Oid::from_str(&"1".repeat(40)).unwrap(),
                0o040_000 => repository.treebuilder(None).unwrap().write().unwrap(),
                _ => repository.odb().unwrap().write(ObjectType::Blob, content).unwrap(),
            };
            // As somebody may push it: without the checks of a client.
            tree.insert(name, id, *mode).unwrap();
        }
        let tree = repository.find_tree(tree.write().unwrap()).unwrap();
        let by = Signature::now("Person", "person@example.org").unwrap();
        repository.commit(None, &by, &by, "x", &tree, &[]).unwrap()
    };
    (folder, repository, commit.into())
}

#[test]
fn every_key_is_read() {
    let read = file(
        r#"
        [worker]
        mode = "claude-code"
        model = "m-1"
        timeout_sec = 600
        stall_sec = 120
        token_budget = 100000
        money_budget = 2.5
        [setup]
        command = "npm ci"
        timeout_sec = 60
        [check]
        command = "npm test"
        timeout_sec = 61
        turns = 2
        on_failure = "none"
        [paths]
        forbidden = [".github/workflows/**", "infra/**"]
        examples = ["tests/keys/**"]
        [pull_request]
        draft = true
        labels = ["agent", "needs review"]
        reviewers = ["octocat"]
        template = false
        [publish]
        base_update = "rebase"
        rescue = false
        [clone]
        submodules = true
        lfs = true
        "#,
    );
    let seconds = Duration::from_secs;
    let worker = WorkerWishes {
        mode: Some("claude-code".to_owned()),
        model: Some("m-1".to_owned()),
        turn_limit: Some(seconds(600)),
        stall_limit: Some(seconds(120)),
        tokens: Some(100_000),
        money: Some("2.5".parse().unwrap()),
    };
    assert_eq!(read.worker, worker);
    let command = |command: &str, limit| ProjectCommand { command: command.to_owned(), limit };
    assert_eq!(read.setup, Some(command("npm ci", seconds(60))));
    let check = Check {
        command: command("npm test", seconds(61)),
        turns: 2,
        on_failure: OnCheckFailure::None,
    };
    assert_eq!(read.check, Some(check));
    let matching =
        |set: &PathPatterns, path: &str| set.matching(Path::new(path)).map(str::to_owned);
    assert_eq!(matching(&read.forbidden, "infra/a").unwrap(), "infra/**");
    assert_eq!(matching(&read.forbidden, ".github/workflows/a").unwrap(), ".github/workflows/**");
    assert_eq!(matching(&read.examples, "tests/keys/a").unwrap(), "tests/keys/**");
    let pull_request = PullRequestRules {
        draft: true,
        labels: vec!["agent".to_owned(), "needs review".to_owned()],
        reviewers: vec!["octocat".to_owned()],
        template: false,
    };
    assert_eq!(read.pull_request, pull_request);
    let publish = PublishRules { base_update: BaseUpdate::Rebase, rescue: Some(false) };
    assert_eq!(read.publish, publish);
    assert_eq!(read.clone, CloneOptions { submodules: true, lfs: true });
}

#[test]
fn what_is_not_said_has_its_default() {
    let read = file("[setup]\ncommand = \"make\"\n[check]\ncommand = \"make test\"\n");
    assert_eq!(read.setup.unwrap().limit, Duration::from_secs(900));
    let check = read.check.unwrap();
    assert_eq!((check.command.limit, check.turns), (Duration::from_secs(1800), 1));
    assert_eq!(check.on_failure, OnCheckFailure::Draft);
    let empty = file("");
    assert!(empty.setup.is_none() && empty.check.is_none());
    assert_eq!(empty.worker, WorkerWishes::default());
    assert_eq!(empty.publish, PublishRules { base_update: BaseUpdate::None, rescue: None });
    assert!(empty.pull_request.template && !empty.pull_request.draft);
    assert_eq!(empty.clone, CloneOptions { submodules: false, lfs: false });
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = refused("[worker]\nmodle = \"x\"\n");
    assert!(error.contains("line 2, worker.modle: unknown field `modle`"), "{error}");
    let error = refused("\n[wroker]\nmodel = \"x\"\n");
    assert!(error.contains("line 2, wroker: unknown field `wroker`"), "{error}");
    assert!(refused("[check]\ncommand = \"x\"\ncommand2 = \"y\"\n").contains("check.command2"));
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_its_line() {
    let error = refused("[setup]\ncommand = 5\n");
    assert!(error.contains("line 2, setup.command: invalid type: integer `5`"), "{error}");
    let error = refused("[publish]\nbase_update = \"squash\"\n");
    assert!(error.contains("publish.base_update: unknown variant `squash`"), "{error}");
    assert!(refused("[check]\nturns = 1\n").contains("missing field `command`"));
    assert!(refused("not toml").contains("line 1"));
}

#[test]
fn a_value_out_of_its_range_is_named() {
    for (text, key) in [
        ("[worker]\ntimeout_sec = 0", "worker.timeout_sec"),
        ("[worker]\ntimeout_sec = 86401", "worker.timeout_sec"),
        ("[worker]\nstall_sec = 0", "worker.stall_sec"),
        ("[worker]\ntoken_budget = 0", "worker.token_budget"),
        ("[worker]\nmoney_budget = -1", "worker.money_budget"),
        ("[worker]\nmoney_budget = [1]", "worker.money_budget"),
        ("[worker]\nmodel = \"a\\nb\"", "worker.model"),
        ("[worker]\nmode = \" \"", "worker.mode"),
        ("[setup]\ncommand = \" \"", "setup.command"),
        ("[setup]\ncommand = \"a\\u0000b\"", "setup.command"),
        ("[setup]\ncommand = \"x\"\ntimeout_sec = 0", "setup.timeout_sec"),
        ("[check]\ncommand = \"x\"\nturns = 4", "check.turns"),
        ("[paths]\nforbidden = [\"{a\"]", "paths.forbidden"),
        ("[paths]\nforbidden = [\"!a\"]", "paths.forbidden"),
        ("[pull_request]\nlabels = [\"\"]", "pull_request.labels"),
        ("[pull_request]\nreviewers = [\"a\\tb\"]", "pull_request.reviewers"),
    ] {
        let error = refused(text);
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn only_a_regular_file_of_the_root_is_read() {
    let text = b"[worker]\nmodel = \"m\"\n";
    for mode in [0o100_644, 0o100_755] {
        let (_folder, repository, commit) = commit(&[(NAME, mode, text)]);
        let read = ProjectFile::at(&repository, commit).unwrap();
        assert_eq!(read.worker.model.as_deref(), Some("m"));
    }
    for mode in [0o120_000, 0o040_000, 0o160_000] {
        let (_folder, repository, commit) = commit(&[(NAME, mode, b"/etc/passwd")]);
        let error = ProjectFile::at(&repository, commit).unwrap_err().to_string();
        assert!(error.contains(&format!("{mode:o}")), "{error}");
    }
    let (_folder, repository, commit) = commit(&[("README", 0o100_644, b"x")]);
    assert!(ProjectFile::at(&repository, commit).unwrap().check.is_none());
}

#[test]
fn a_file_that_is_too_long_or_no_text_is_refused() {
    let long = vec![b'#'; SIZE_MAX + 1];
    let (_folder, repository, id) = commit(&[(NAME, 0o100_644, &long)]);
    let error = ProjectFile::at(&repository, id).unwrap_err();
    assert!(matches!(error, ProjectFileError::TooLong { .. }), "{error}");
    let (_folder, repository, id) = commit(&[(NAME, 0o100_644, b"\xff\xfe")]);
    let error = ProjectFile::at(&repository, id).unwrap_err();
    assert!(matches!(error, ProjectFileError::NoText(_)), "{error}");
}

#[tokio::test]
async fn a_ticket_s_branch_and_its_work_tree_cannot_change_their_own_rules() {
    let remote = Remote::new("main");
    remote.commit("main", NAME, "[paths]\nforbidden = [\"infra/**\"]\n");
    remote.commit(ticket().as_str(), NAME, "[paths]\nforbidden = []\n[worker]\nmodel = \"x\"\n");
    let into = remote.place("tree");
    let checkout =
        clone_ticket_branch(&git(), &remote.source(), &into, &ticket(), None).await.unwrap();
    assert_eq!(checkout.start(), Start::Continued);
    std::fs::write(checkout.path().join(NAME), "[worker]\nmodel = \"y\"\n").unwrap();
    let read = ProjectFile::of(&checkout).unwrap();
    assert_eq!(read.forbidden.matching(Path::new("infra/a")), Some("infra/**"));
    assert_eq!(read.worker.model, None);
}

#[tokio::test]
async fn a_file_that_only_the_ticket_s_branch_has_does_not_count() {
    let remote = Remote::new("main");
    remote.commit(ticket().as_str(), NAME, "[setup]\ncommand = \"touch /tmp/ran\"\n");
    let into = remote.place("tree");
    let checkout =
        clone_ticket_branch(&git(), &remote.source(), &into, &ticket(), None).await.unwrap();
    assert!(checkout.path().join(NAME).is_file());
    assert_eq!(ProjectFile::of(&checkout).unwrap().setup, None);
}
