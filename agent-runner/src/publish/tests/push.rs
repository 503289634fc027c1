//! What a push does where the remote is not as it was, or will not have it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::testing::Scene;
use super::super::*;
use crate::git::testing::{Remote, run, ticket};

#[tokio::test]
async fn a_branch_that_moved_meanwhile_is_not_overwritten() {
    let scene = Scene::new().await;
    let others = scene.origin.commit(ticket().as_str(), "theirs", "by somebody else\n");
    assert_not_overwritten(&scene, &others).await;
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
    assert_not_overwritten(&scene, &others).await;
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

/// A push leaves the remote at this commit, and says why.
async fn assert_not_overwritten(scene: &Scene, others: &str) {
    scene.write("mine", "x");
    let commit = scene.commit().await.unwrap();
    let error = push(&scene.git, &scene.checkout, commit).await.unwrap_err();
    assert!(matches!(error, PublishError::RemoteMoved { .. }), "{error}");
    assert_eq!(scene.origin.head(ticket().as_str()), others);
}
