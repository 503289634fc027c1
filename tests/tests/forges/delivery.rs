//! The same runs on all three forges.

use integration_tests::forge::{CheckResult, ForgeKind, PullState};

use crate::scene::{Scene, log};

async fn delivers_and_continues(kind: ForgeKind) {
    let scene = Scene::new(kind, &[]).await;
    let first = scene.run(&[]).await;
    assert_eq!(log(&first).0, Some(0), "{}", log(&first).1);
    let pulls = scene.pulls();
    assert_eq!((pulls.len(), pulls[0].state), (1, PullState::Open));
    let printed = String::from_utf8(first.stdout).unwrap();
    let page = printed.lines().last().unwrap();
    assert!(page.starts_with(scene.forge.url().as_str()) && page.ends_with("/1"), "{page}");
    assert_eq!(scene.git(&["rev-parse", &pulls[0].head]), pulls[0].head_sha);
    assert!(pulls[0].body.as_deref().unwrap().contains("All done."), "{:?}", pulls[0].body);

    // A second run of the task continues the branch and refreshes the same pull request.
    let second = scene.run(&[]).await;
    assert_eq!(log(&second).0, Some(0), "{}", log(&second).1);
    let again = scene.pulls();
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].head_sha, pulls[0].head_sha);
    assert_eq!(scene.git(&["rev-parse", &again[0].head]), again[0].head_sha);
    assert_eq!(again[0].title, pulls[0].title);
    scene.end().await;
}

#[tokio::test]
async fn a_task_is_delivered_and_continued_on_github() {
    delivers_and_continues(ForgeKind::GitHub).await;
}

#[tokio::test]
async fn a_task_is_delivered_and_continued_on_gitea() {
    delivers_and_continues(ForgeKind::Gitea).await;
}

#[tokio::test]
async fn a_task_is_delivered_and_continued_in_a_subgroup_on_gitlab() {
    delivers_and_continues(ForgeKind::GitLab).await;
}

#[tokio::test]
async fn a_host_whose_name_says_nothing_is_asked_which_forge_it_is() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, &[]).await;
        let output = scene.run(&[("FORGE", "")]).await;
        assert_eq!(log(&output).0, Some(0), "{}", log(&output).1);
        assert_eq!(scene.pulls().len(), 1);
        scene.end().await;
    }
}

#[tokio::test]
async fn a_forge_that_is_taken_for_another_is_told_of() {
    let scene = Scene::new(ForgeKind::Gitea, &[]).await;
    let output = scene.run(&[("FORGE", "github")]).await;
    let (code, log) = log(&output);
    assert_eq!(code, Some(8), "{log}");
    assert!(log.contains("check REPO_URL, GITHUB_TOKEN and FORGE"), "{log}");
    scene.end().await;
}

/// A project file that wants all that a forge can refuse, and a check that passes once there is a file.
const PROJECT: &str = r#"
[pull_request]
labels = ["agent", "unheard of"]
reviewers = ["ann", "nobody"]

[check]
command = "test -e FIXED"
turns = 0
"#;

async fn is_a_draft_until_the_checks_pass(kind: ForgeKind) {
    let template = match kind {
        ForgeKind::GitHub => ".github/PULL_REQUEST_TEMPLATE.md",
        ForgeKind::Gitea => ".gitea/PULL_REQUEST_TEMPLATE.md",
        ForgeKind::GitLab => ".gitlab/merge_request_templates/Default.md",
    };
    let files = [(".terarchitect.toml", PROJECT), (template, "- [ ] read by a person\n")];
    let scene = Scene::new(kind, &files).await;
    let failing = scene.run(&[]).await;
    let (code, text) = log(&failing);
    assert_eq!(code, Some(15), "{text}");
    let pull = scene.pulls().remove(0);
    assert!(pull.draft, "{pull:?}");
    assert!(pull.body.as_deref().unwrap().contains("- [ ] read by a person"), "{pull:?}");
    assert_eq!((pull.labels, pull.reviewers), (vec!["agent".to_owned()], vec!["ann".to_owned()]));
    for unknown in ["unheard of", "nobody"] {
        assert!(text.contains(unknown), "{text}");
    }

    scene.claude_does("touch FIXED");
    let passing = scene.run(&[]).await;
    assert_eq!(log(&passing).0, Some(0), "{}", log(&passing).1);
    let pulls = scene.pulls();
    assert_eq!((pulls.len(), pulls[0].draft), (1, false), "{pulls:?}");
    scene.end().await;
}

#[tokio::test]
async fn failing_checks_make_a_draft_and_passing_ones_end_it_on_github() {
    is_a_draft_until_the_checks_pass(ForgeKind::GitHub).await;
}

#[tokio::test]
async fn failing_checks_make_a_draft_and_passing_ones_end_it_on_gitea() {
    is_a_draft_until_the_checks_pass(ForgeKind::Gitea).await;
}

#[tokio::test]
async fn failing_checks_make_a_draft_and_passing_ones_end_it_on_gitlab() {
    is_a_draft_until_the_checks_pass(ForgeKind::GitLab).await;
}

#[tokio::test]
async fn a_check_that_fails_in_gitea_actions_is_given_to_the_worker_with_the_end_of_its_log() {
    let scene = Scene::new(ForgeKind::Gitea, &[]).await;
    assert_eq!(log(&scene.run(&[]).await).0, Some(0));
    let head = scene.pulls()[0].head_sha.clone();
    // The number of a job is none of those on its page.
    for (name, text) in [("ci / lint (push)", "a bad style"), ("ci / test (push)", "1 is not 2")] {
        let text = format!("the beginning\n{}{text}\n", "more\n".repeat(40_000));
        scene.forge.report_job(&scene.repo, &head, name, &text);
    }
    scene.forge.report(&scene.repo, &head, "another service", CheckResult::Failed);
    let review = scene.run(&[("JOB_KIND", "review"), ("PR_NUMBER", "1")]).await;
    assert_eq!(log(&review).0, Some(0), "{}", log(&review).1);
    let prompt = scene.prompt();
    let (_, checks) = prompt.split_once("ci / lint (push)").unwrap();
    let (lint, test) = checks.split_once("ci / test (push)").unwrap();
    assert!(lint.contains("a bad style") && !lint.contains("1 is not 2"), "{prompt}");
    assert!(test.contains("1 is not 2") && test.contains("another service"), "{prompt}");
    assert!(!prompt.contains("the beginning") && prompt.len() < 40_000, "{}", prompt.len());
    assert_eq!(scene.forge.take_violations(), [""; 0]);
    scene.end().await;
}
