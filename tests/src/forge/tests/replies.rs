//! What is said with the token, and threads that are resolved.

use super::*;

/// As the agent asks which threads are resolved.
const THREADS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) { \
    repository(owner: $owner, name: $name) { pullRequest(number: $number) { \
    reviewThreads(first: 100, after: $after) { nodes { isResolved } } } } }";

fn at_line(line: u64) -> Remark {
    let place = RemarkPlace::Line { path: "a.txt".to_owned(), line, side: LineSide::Old };
    let (author, body) = ("ann".to_owned(), "Why?".to_owned());
    Remark { place, author, standing: Standing::Member, body }
}

async fn with_two_threads() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.push_branch("work", "a.txt", "one\n").await;
    assert_eq!(fixture.open_pull("work").await.0, StatusCode::CREATED);
    let said = [1, 2].map(|line| fixture.forge.say(&fixture.repo, 1, at_line(line)));
    assert_eq!(said, [1, 2]);
    fixture
}

#[tokio::test]
async fn a_reply_stands_in_its_thread_and_one_to_no_thread_is_refused() {
    let fixture = with_two_threads().await;
    let words = || Some(json!({"body": "Because."}));
    let replies = |id: u64| format!("/pulls/1/comments/{id}/replies");
    let (status, _) = fixture.api(Method::POST, &replies(2), words()).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, _) = fixture.api(Method::POST, "/issues/1/comments", words()).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, lines) = fixture.api(Method::GET, "/pulls/1/comments", None).await;
    let reply = &lines[2];
    assert_eq!(
        (&reply["in_reply_to_id"], &reply["line"], &reply["side"]),
        (&json!(2), &json!(2), &json!("LEFT"))
    );
    assert_eq!(reply["user"]["login"], "agents");
    // A reply begins no thread, nor does anybody who is not there.
    for id in [3, 7] {
        let (status, _) = fixture.api(Method::POST, &replies(id), words()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{id}");
    }
    let said = fixture.forge.replies(&fixture.repo, 1).into_iter();
    assert_eq!(said.map(|reply| reply.thread).collect::<Vec<_>>(), [Some(2), None]);
    fixture.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_thread_that_is_resolved_is_told() {
    let fixture = with_two_threads().await;
    fixture.forge.resolve(&fixture.repo, 1, 2);
    let mut url = fixture.forge.url();
    url.set_path("/api/graphql");
    let variables = json!({"owner": "acme", "name": "web", "number": 1, "after": null});
    let asked = fixture.http.post(url).bearer_auth(TOKEN);
    let asked = asked.json(&json!({"query": THREADS, "variables": variables}));
    let told: Value = asked.send().await.unwrap().json().await.unwrap();
    let nodes = &told["data"]["repository"]["pullRequest"]["reviewThreads"]["nodes"];
    let resolved: Vec<_> = nodes.as_array().unwrap().iter().map(|one| &one["isResolved"]).collect();
    assert_eq!(resolved, [&json!(false), &json!(true)]);
    fixture.forge.shutdown().await.unwrap();
}
