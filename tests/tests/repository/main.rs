//! A job on a repository that attacks, with the real agent in its container and the real git: what the
//! repository brings is not run by the agent, and nothing that the agent knows gets out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lfs;
mod scene;

use crate::scene::{DEFAULT, Scene};

/// A worker that does all that the repository asks of it. It may: it is the worker. What it leaves for the
/// agent to stumble over must do nothing.
const OBEDIENT: &str = r#"
mark() { printf '#!/bin/sh\ntouch /out/ran-%s-$(id -u)\ncat\n' "$1" > "$2"; chmod +x "$2"; }
mkdir -p .git/hooks
for hook in pre-commit commit-msg post-commit pre-push post-checkout reference-transaction \
    post-index-change pre-auto-gc post-rewrite prepare-commit-msg; do
    mark "$hook" ".git/hooks/$hook"
done
mark filter /tmp/filter; mark fsmonitor /tmp/fsmonitor; mark include /tmp/include
printf '[core]\n\tfsmonitor = /tmp/fsmonitor\n\tsshCommand = /tmp/include\n\tpager = /tmp/include
\tattributesFile = /tmp/attributes\n\tworktree = /\n[credential]\n\thelper = !/tmp/include
[filter "evil"]\n\tclean = /tmp/filter\n\tsmudge = /tmp/filter\n\tprocess = /tmp/filter\n\trequired = true
[diff "evil"]\n\ttextconv = /tmp/filter\n\tcommand = /tmp/filter\n[uploadpack]\n\tpackObjectsHook = /tmp/include
[gpg]\n\tprogram = /tmp/include\n[commit]\n\tgpgSign = true\n[push]\n\tgpgSign = true
[include]\n\tpath = /tmp/included\n' >> .git/config
printf '[core]\n\thooksPath = /tmp/hooks\n[url "file:///tmp/elsewhere"]\n\tinsteadOf = http\n' > /tmp/included
printf '* filter=evil diff=evil merge=evil\n' | tee /tmp/attributes .git/info/attributes > .gitattributes
ln -s /etc/passwd leak; ln -s /proc/1/environ leak-2; ln -s /root leak-3; ln -s / .git/objects/info/x
mkdir -p nested/deep; git init -q nested/deep; mark nested nested/deep/.git/hooks/pre-commit
printf '[core]\n\tfsmonitor = /tmp/fsmonitor\n' >> nested/deep/.git/config; echo x > nested/deep/file
mkdir -p linked; echo 'gitdir: /out/other.git' > linked/.git; echo x > linked/file
echo new > "ünï
code"; echo new > -dash; echo new > new.txt
printf '[setup]\ncommand = "touch /out/ran-setup-$(id -u)"\n' > .terarchitect.toml
env > ENVIRONMENT.txt; cat /proc/[0-9]*/environ > PROCESSES.txt 2>/dev/null
cat AGENTS.md
"#;

#[tokio::test]
async fn nothing_of_a_hostile_repository_runs_as_the_agent_and_nothing_leaks() {
    let Some(scene) = Scene::start(OBEDIENT, &[]).await else { return };
    scene.commit_to_the_ticket_s_branch(
        ".terarchitect.toml",
        "[setup]\ncommand = \"touch /out/ran-setup-of-the-branch\"\n[paths]\nforbidden = []\n",
    );
    let ended = scene.run().await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let ran = scene.marks();
    let by_the_agent: Vec<_> = ran.iter().filter(|mark| mark.ends_with("-0")).collect();
    assert!(by_the_agent.is_empty(), "{by_the_agent:?}");
    assert!(!ran.iter().any(|mark| mark.contains("setup")), "{ran:?}");

    let files = scene.pushed_files();
    for wanted in ["new.txt", "-dash", "ünï\ncode", ".gitattributes", "ENVIRONMENT.txt"] {
        assert!(files.iter().any(|(_, path)| path == wanted), "{wanted:?}: {files:?}");
    }
    let mode =
        |name: &str| files.iter().find(|(_, path)| path == name).map(|(mode, _)| mode.as_str());
    for link in ["leak", "leak-2", "leak-3"] {
        assert_eq!(mode(link), Some("120000"), "{link} is a link and not what it names");
    }
    assert!(
        !files.iter().any(|(mode, path)| mode == "160000" || path.contains(".git/")),
        "{files:?}"
    );
    assert_eq!(scene.pushed("new.txt"), "new\n", "no filter had a say");
    assert_eq!(scene.base_of_the_pull_request(), DEFAULT);
    scene.nothing_leaked(&ended);
}

#[tokio::test]
async fn the_rules_of_the_default_branch_hold_for_a_branch_that_has_others() {
    let rules = (".terarchitect.toml", "[paths]\nforbidden = [\"infra/**\"]\n");
    let worker = "mkdir -p infra; echo x > infra/main.tf; printf '' > .terarchitect.toml";
    let Some(scene) = Scene::start(worker, &[rules]).await else { return };
    scene.commit_to_the_ticket_s_branch(".terarchitect.toml", "[paths]\nforbidden = []\n");
    let before = scene.ticket_s_head();
    let ended = scene.run().await;
    assert_eq!(ended.code, 16, "{}", ended.stderr);
    assert!(ended.stderr.contains("infra/main.tf"), "{}", ended.stderr);
    assert_eq!(scene.ticket_s_head(), before);
}

#[tokio::test]
async fn a_file_of_a_gigabyte_is_not_pushed() {
    let worker = "truncate -s 1G big.bin; echo new > new.txt";
    let Some(scene) = Scene::start(worker, &[]).await else { return };
    let ended = scene.run().await;
    assert_eq!(ended.code, 16, "{}", ended.stderr);
    assert!(ended.stderr.contains("big.bin"), "{}", ended.stderr);
    assert_eq!(scene.ticket_s_head(), None);
}

#[tokio::test]
async fn a_default_branch_that_looks_like_an_option_is_refused_by_its_name() {
    let Some(scene) = Scene::start("echo new > new.txt", &[]).await else { return };
    scene.rename_default_branch("-x");
    let ended = scene.run().await;
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("\"-x\" is not a valid branch name"), "{}", ended.stderr);
}

#[tokio::test]
async fn submodules_come_with_the_token_and_of_gitmodules_nothing_else_counts() {
    let rules = (".terarchitect.toml", "[clone]\nsubmodules = true\n");
    let worker = "cat libs/lib/README > seen.txt";
    let Some(scene) = Scene::start(worker, &[rules]).await else { return };
    let commit = scene.add_submodule("libs/lib", "../lib").await;
    let ended = scene.run().await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(scene.pushed("seen.txt"), "of the library\n");
    let link = ("160000".to_owned(), "libs/lib".to_owned());
    assert!(scene.pushed_files().contains(&link), "{:?}", scene.pushed_files());
    assert_eq!(scene.pushed_entry("libs/lib"), commit);
    assert!(scene.marks().is_empty(), "{:?}", scene.marks());
    scene.nothing_leaked(&ended);
}

#[tokio::test]
async fn a_submodule_that_is_not_on_the_web_ends_the_run() {
    let rules = (".terarchitect.toml", "[clone]\nsubmodules = true\n");
    let Some(scene) = Scene::start("echo new > new.txt", &[rules]).await else { return };
    scene.add_submodule("libs/lib", "ext::sh -c touch% /out/ran-ext").await;
    let ended = scene.run().await;
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("submodule libs/lib cannot be fetched"), "{}", ended.stderr);
    assert!(scene.marks().is_empty(), "{:?}", scene.marks());
}
