//! What the agent is told.

use crate::scene::Scene;

#[tokio::test]
async fn a_loopback_host_is_rewritten_in_settings_that_are_urls_and_in_nothing_else() {
    let names = "AGENT_LLM_URL WORKER_LLM_URL REPO_URL TERARCHITECT_API_URL AGENT_MODEL";
    let script = format!("for name in {names} COMMENT_BODY; do echo $name=$(field $name); done");
    let Some(mut scene) = Scene::or_skip(&script).await else { return };
    scene.app.set("AGENT_LLM_URL", "http://localhost:5099/v1").await;
    scene.app.set("WORKER_LLM_URL", "https://models.example/v1").await;
    scene.app.set("AGENT_MODEL", "http://localhost:1/a-model").await;
    let project = scene.app.add_project("http://127.0.0.1:3000/acme/demo").await;
    let comment = "it fails on http://localhost:3000/, see 127.0.0.1";
    let job = scene.app.add_review(project, comment).await;
    let coordinator = scene.home.start();

    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    let printed = scene.home.job_log(job.job_id);
    let port = scene.app.url().rsplit(':').next().unwrap().to_owned();
    for line in [
        "AGENT_LLM_URL=http://host.docker.internal:5099/v1",
        "WORKER_LLM_URL=https://models.example/v1",
        "AGENT_MODEL=http://localhost:1/a-model",
        "REPO_URL=http://host.docker.internal:3000/acme/demo",
        &format!("TERARCHITECT_API_URL=http://host.docker.internal:{port}"),
        &format!("COMMENT_BODY={comment}"),
    ] {
        assert!(printed.contains(line), "{line:?} is not in {printed:?}");
    }
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_review_comment_of_200_kb_reaches_the_agent_whole() {
    // One word on each line: the engine cuts lines of more than 16 KiB, within characters as well.
    let script = "for word in $(field COMMENT_BODY); do echo $word; done";
    let Some(mut scene) = Scene::or_skip(script).await else { return };
    let comment: Vec<String> =
        (0..10_000).map(|n| format!("http://localhost/{n:05}-é\u{2028}")).collect();
    let job = scene.app.add_review(scene.project, &comment.join(" ")).await;
    assert!(comment.join(" ").len() > 200_000);
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    let printed = scene.home.job_log(job.job_id);
    let words: Vec<&str> = printed.split_terminator('\n').skip(1).collect();
    assert!(words == comment, "{} words of {}", words.len(), comment.len());
    coordinator.terminate().await;
}
