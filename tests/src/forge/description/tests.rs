use super::*;
use crate::forge::ForgeKind;

fn judge(kind: ForgeKind, request: &str, body: &str) -> Verdict {
    let description = Description::parse(kind.description()).unwrap();
    let (method, target) = request.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    description.judge(method, path, query, body.as_bytes())
}

fn why(kind: ForgeKind, request: &str, body: &str) -> String {
    match judge(kind, request, body) {
        Verdict::Violates(why) => why,
        other => panic!("{request}: {other:?}"),
    }
}

#[test]
fn a_request_must_be_one_that_the_forge_publishes() {
    use ForgeKind::{GitHub, GitLab, Gitea};
    let list = "GET /repos/o/r/pulls?state=open&per_page=100&head=o%3Ab";
    assert_eq!(judge(GitHub, list, ""), Verdict::Fits);
    assert_eq!(judge(GitHub, "GET /repos/o/r/git/ref/heads/a/b", ""), Verdict::Fits);
    assert_eq!(judge(GitHub, "DELETE /repos/o/r", ""), Verdict::Unknown);
    assert_eq!(judge(GitHub, "GET /repos/o//pulls", ""), Verdict::Unknown);
    let list = "GET /projects/g%2Fs%2Fr/merge_requests?state=opened";
    assert_eq!(judge(GitLab, list, ""), Verdict::Fits);
    assert!(why(GitLab, "GET /projects/1/merge_requests?state=open", "").contains("allowed"));
    assert!(why(Gitea, "GET /repos/o/r/pulls?head=x", "").contains("unknown query"));
    assert!(why(Gitea, "GET /repos/o/r/pulls?limit=many", "").contains("wrong type"));
}

#[test]
fn a_body_must_have_the_fields_that_the_forge_publishes() {
    use ForgeKind::{GitHub, GitLab, Gitea};
    let create = "POST /repos/o/r/pulls";
    let good = r#"{"title":"t","head":"h","base":"b","draft":true}"#;
    assert_eq!(judge(GitHub, create, good), Verdict::Fits);
    for (kind, request, body, expected) in [
        (GitHub, create, r#"{"title":"t","head":"h"}"#, "body.base is missing"),
        (GitHub, create, r#"{"head":"h","base":"b","reviewers":[]}"#, "body.reviewers is unknown"),
        (GitHub, create, r#"{"head":"h","base":"b","draft":"yes"}"#, "body.draft is of the wrong"),
        (Gitea, create, r#"{"draft":true}"#, "body.draft is unknown"),
        (Gitea, create, r#"{"labels":["x"]}"#, "body.labels[] is of the wrong type String"),
        (GitLab, "PUT /projects/1/merge_requests/2", r#"{"add_labels":"a"}"#, "wrong type"),
        (GitLab, "PUT /projects/1/merge_requests/2", r#"{"body":"a"}"#, "body.body is unknown"),
        (GitLab, "GET /version", "{}", "none"),
    ] {
        let why = why(kind, request, body);
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn one_of_several_shapes_is_enough() {
    let labels = "POST /repos/o/r/issues/1/labels";
    for body in [r#"{"labels":["a"]}"#, r#"{"labels":[{"name":"a"}]}"#] {
        assert_eq!(judge(ForgeKind::GitHub, labels, body), Verdict::Fits, "{body}");
    }
    assert!(why(ForgeKind::GitHub, labels, r#"{"labels":[1]}"#).contains("wrong type"));
}
