//! What is said and what fails becomes jobs.

use integration_tests::forge::{CheckResult, Fault, ForgeKind, RemarkPlace, Standing, Verdict};
use integration_tests::harness::eventually;

use super::scene::{QUICK, Scene, on_line};

/// Nothing that is said here is older than this.
const PATIENT: &[&str] = &["--review-poll-sec", "0.1", "--review-debounce-sec", "3600"];

#[tokio::test]
async fn seven_comments_are_one_job_with_the_oldest_and_are_dealt_with_by_it() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, QUICK).await;
        scene.say(1, RemarkPlace::Conversation, "the first");
        for line in 2..=4 {
            scene.say(1, on_line(line), "on a line");
        }
        scene.say(1, RemarkPlace::Conversation, "of the whole");
        scene.say(1, on_line(5), "and more");
        scene.say(1, RemarkPlace::Review(Verdict::AsksForChanges), "so no");
        let ticket = scene.ticket(1).await;
        let jobs = scene.jobs_are(1).await;
        let job = &jobs[0];
        assert_eq!((&job["kind"], &job["pr_number"]), (&"review".into(), &1.into()), "{kind:?}");
        let first = (&job["comment_body"], &job["github_comment_id"]);
        assert_eq!(first, (&"the first".into(), &1.into()), "{kind:?}");

        let claimed = scene.claim().await;
        scene.looked_at_again(1).await;
        assert_eq!(scene.jobs().await.len(), 1, "{kind:?}: while it runs");
        scene.complete(claimed.job_id).await;
        scene.looked_at_again(1).await;
        assert_eq!(scene.jobs().await.len(), 1, "{kind:?}: it dealt with all seven");
        let shown = scene.app.ticket(ticket).await;
        assert_eq!(shown["column_id"], "in_review");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_comment_of_another_kind_with_the_same_number_is_another_comment() {
    let scene = Scene::new(ForgeKind::GitHub, QUICK).await;
    scene.ticket(1).await;
    for (count, place) in
        [on_line(1), RemarkPlace::Conversation, RemarkPlace::Review(Verdict::Comments)]
            .into_iter()
            .enumerate()
    {
        scene.say(1, place, "please");
        let jobs = scene.jobs_are(count + 1).await;
        assert_eq!(jobs[count]["github_comment_id"], 1);
        let job = scene.claim().await;
        scene.complete(job.job_id).await;
    }
    scene.end().await;
}

#[tokio::test]
async fn a_job_waits_until_nothing_was_said_for_a_while() {
    let scene = Scene::new(ForgeKind::GitHub, PATIENT).await;
    scene.ticket(1).await;
    scene.say(1, on_line(1), "please");
    scene.looked_at_again(1).await;
    assert_eq!(scene.jobs().await.len(), 0);
    scene.end().await;
}

#[tokio::test]
async fn comments_of_outsiders_bots_and_agents_start_nothing() {
    let signed = "Done.\n\n<!-- terarchitect-bot -->";
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, QUICK).await;
        scene.say_as("eve", Standing::Outsider, 1, on_line(1), "run this");
        scene.say_as("renovate[bot]", Standing::Bot, 1, RemarkPlace::Conversation, "update");
        scene.say_as("agents", Standing::Member, 1, RemarkPlace::Conversation, "our own account");
        scene.say_as("ann", Standing::Member, 1, on_line(1), signed);
        scene.ticket(1).await;
        scene.looked_at_again(1).await;
        assert_eq!(scene.jobs().await.len(), 0, "{kind:?}");
        scene.say(1, on_line(2), "a person of the project");
        let jobs = scene.jobs_are(1).await;
        assert_eq!(jobs[0]["comment_body"], "a person of the project", "{kind:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn those_of_the_setting_start_a_job_and_their_job_knows_it() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, QUICK).await;
        scene.say(1, on_line(1), "a member, who is not named");
        scene.say_as("eve", Standing::Outsider, 1, on_line(2), "somebody who is");
        scene.app.set("AGENT_REVIEW_AUTHORS", "OWNER, Eve").await;
        scene.ticket(1).await;
        let jobs = scene.jobs_are(1).await;
        assert_eq!(jobs[0]["comment_body"], "somebody who is", "{kind:?}");
        let authors = scene.claim().await.agent_env.get("AGENT_REVIEW_AUTHORS").cloned();
        assert_eq!(authors.unwrap().expose(), "OWNER, Eve", "{kind:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn failed_checks_of_the_newest_commit_start_a_job_that_names_them() {
    for kind in ForgeKind::ALL {
        let scene = Scene::new(kind, QUICK).await;
        let head = scene.forge.pulls(&scene.repo)[0].head_sha.clone();
        scene.forge.report(&scene.repo, &head, "lint", CheckResult::Passed);
        scene.ticket(1).await;
        scene.looked_at_again(1).await;
        assert_eq!(scene.jobs().await.len(), 0, "{kind:?}");
        scene.forge.report(&scene.repo, &head, "unit tests", CheckResult::Failed);
        let jobs = scene.jobs_are(1).await;
        let text = jobs[0]["comment_body"].as_str().unwrap();
        let name = if kind == ForgeKind::GitLab { "- pipeline" } else { "- unit tests" };
        assert!(text.contains(name) && !text.contains("lint"), "{kind:?}: {text}");
        assert!(jobs[0]["github_comment_id"].is_null());
        let job = scene.claim().await;
        scene.complete(job.job_id).await;
        scene.looked_at_again(1).await;
        assert_eq!(scene.jobs().await.len(), 1, "{kind:?}: once for a commit");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_failed_job_is_tried_again_three_times_in_all_until_there_is_a_new_comment() {
    let scene = Scene::new(ForgeKind::GitHub, QUICK).await;
    let ticket = scene.ticket(1).await;
    scene.say(1, on_line(1), "please");
    for count in 1..=3 {
        scene.jobs_are(count).await;
        let job = scene.claim().await;
        scene.fail(job.job_id).await;
    }
    scene.stands(ticket, "given_up").await;
    scene.looked_at_again(1).await;
    assert_eq!(scene.jobs().await.len(), 3);
    scene.say(1, on_line(2), "or so");
    let jobs = scene.jobs_are(4).await;
    assert_eq!(jobs[3]["comment_body"], "please", "the oldest that waits");
    scene.end().await;
}

#[tokio::test]
async fn the_older_pull_request_has_its_job_first_and_nothing_is_asked_without_a_token() {
    let mut scene = Scene::without_token(ForgeKind::GitHub, QUICK).await;
    for pull in [2, 1] {
        scene.ticket(pull).await;
        scene.say(pull, on_line(1), "please");
    }
    // From here on each round sees both.
    scene.app.stop().await;
    scene.app.restart().await;
    let asked = scene.forge.requests();
    assert!(asked.is_empty(), "{asked:?}");
    scene.app.set("github_agent_token", super::scene::TOKEN).await;
    let jobs = scene.jobs_are(2).await;
    assert_eq!((&jobs[0]["pr_number"], &jobs[1]["pr_number"]), (&1.into(), &2.into()));
    scene.end().await;
}

#[tokio::test]
async fn what_did_not_change_is_asked_for_by_its_tag() {
    let scene = Scene::new(ForgeKind::GitHub, QUICK).await;
    scene.ticket(1).await;
    scene.looked_at_again(1).await;
    let lists = scene.forge.requests().into_iter().filter(|r| r.path.contains("/comments"));
    let answers: Vec<u16> = lists.filter_map(|request| request.status).collect();
    assert!(answers.contains(&304), "{answers:?}");
    scene.say(1, on_line(1), "please");
    scene.jobs_are(1).await;
    scene.end().await;
}

#[tokio::test]
async fn a_forge_that_wants_a_pause_gets_one() {
    let scene = Scene::new(ForgeKind::GitHub, QUICK).await;
    let limit = Fault { times: Some(1), ..Fault::new("/pulls/1", 429) };
    let headers = [("retry-after".to_owned(), "2".to_owned())].into();
    scene.forge.fail(Fault { headers, ..limit });
    scene.say(1, on_line(1), "please");
    let begun = std::time::Instant::now();
    scene.ticket(1).await;
    eventually("the limit", async || {
        scene.forge.requests().iter().any(|r| r.status == Some(429)).then_some(())
    })
    .await;
    scene.jobs_are(1).await;
    assert!(begun.elapsed().as_secs() >= 2, "{:?}", begun.elapsed());
    scene.end().await;
}
