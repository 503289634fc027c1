//! A ticket whose container is killed in each of five turns. The real coordinator starts each container, finds it
//! killed, tells the app, and has the ticket run again, until the sixth container delivers.
//!
//! What counts is that each run goes on at the turn in which the one before it was killed, that no call of a model is
//! made again but the one that was in flight then, and that the work is on the remote once.

mod calls;
mod left;
mod scene;
mod script;

use api_client::outcome::{OutcomeDocument, Verdict};

pub(super) use self::calls::Calls;
use self::scene::Scene;
use self::script::{FILES, TURNS};
use super::answers::CONTENT;
use super::case::Case;
use super::leaks::{Leaks, Model};
use super::stage::Stage;

/// Plays it: what is wrong, where a secret is, and the calls of the models.
pub(super) async fn play(stage: &Stage, case: Case) -> (Vec<String>, Vec<String>, Calls) {
    let mut scene = Scene::set(stage, case).await;
    let main = scene.git(&["rev-parse", "main"]);
    let mut wrong = Vec::new();
    match scene.run_to_the_end().await {
        Ok(()) => {
            wrong.extend(scene.calls.wrong());
            wrong.extend(wrong_outcome(scene.outcome()));
            wrong.extend(wrong_remote(&scene, &main));
            wrong.extend(left::left(&scene).await);
        }
        Err(why) => wrong.push(why),
    }
    wrong.extend(scene.deployment.forge.take_violations());
    let leaked = leaked(&scene).await;
    (wrong, leaked, scene.end().await)
}

/// What the last run does not tell as it is.
fn wrong_outcome(outcome: Result<OutcomeDocument, String>) -> Vec<String> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return vec![format!("no outcome: {error}")],
    };
    let resumed = outcome.resumed_at_turn.and_then(|turn| usize::try_from(turn).ok());
    let verdict = outcome.verdict;
    told([
        ("the last run went on at turn", resumed == Some(TURNS), format!("{resumed:?}")),
        ("what it came to", verdict == Verdict::Delivered, format!("{verdict:?}")),
    ])
}

/// What is not on the remote as it has to be: one pull request with the work of all turns, in one commit.
fn wrong_remote(scene: &Scene, main: &str) -> Vec<String> {
    let branch = scene.branch();
    let pulls = scene.pulls();
    let heads: Vec<_> = pulls.iter().map(|pull| pull.head.as_str()).collect();
    let branches = scene.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
    let commits = scene.git(&["rev-list", "--count", &format!("main..{branch}")]);
    let files = scene.git(&["diff", "--name-only", "main", &branch]);
    let is_whole = |file: &str| scene.git(&["show", &format!("{branch}:{file}")]) == CONTENT;
    let now = scene.git(&["rev-parse", "main"]);
    told([
        ("pull requests", heads == [&branch], format!("{heads:?}")),
        ("branches", branches == format!("main\n{branch}\n"), branches),
        ("commits", commits.trim() == "1", commits),
        ("files", files.lines().eq(FILES), files),
        ("what is in them", FILES.iter().all(|file| is_whole(file)), "something else".to_owned()),
        ("the default branch", now == main, now),
    ])
}

/// Where a secret is that has no place there.
async fn leaked(scene: &Scene) -> Vec<String> {
    let mut leaks = Leaks::new();
    for (number, output) in scene.outputs().iter().enumerate() {
        leaks.in_text(&format!("the output of run {}", number + 1), output);
    }
    leaks.in_text("the outcome", &format!("{:?}", scene.outcome()));
    leaks.in_text("the ticket's log", &format!("{:?}", scene.ticket_log().await));
    leaks.in_text("the pull requests", &format!("{:?}", scene.pulls()));
    let pushed = scene.git(&["log", "--all", "--patch", "--text", "--format=fuller"]);
    leaks.in_text("the remote's branches", &pushed);
    leaks.in_requests(Model::Worker, &scene.deployment.llm.requests());
    leaks.in_requests(Model::Director, &scene.director.requests());
    leaks.all()
}

/// What of these is not good.
fn told<const N: usize>(all: [(&str, bool, String); N]) -> Vec<String> {
    let wrong = all.into_iter().filter(|(_, good, _)| !good);
    wrong.map(|(what, _, is)| format!("{what}: {is}")).collect()
}
