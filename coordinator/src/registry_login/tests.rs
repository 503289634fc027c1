//! Logins as Docker and its helpers keep them.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::executable::executable;

fn folder(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config).unwrap();
    dir
}

fn password(user: &str, password: &str) -> Option<Login> {
    Some(Login::Password { user: user.to_owned(), password: password.into() })
}

/// A helper that reads which `registry` it is asked for, then does this; by its path.
fn helper(dir: &TempDir, script: &str) -> String {
    let path = dir.path().join("docker-credential-test");
    executable(&path, &format!("#!/bin/sh\nregistry=$(cat)\n{script}\n"));
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_login_is_found_by_the_registry_of_the_image() {
    // "op:secret:1", "hub:pass", "path:pass"
    let dir = folder(
        r#"{"auths": {
            "registry.example:5000": {"auth": "b3A6c2VjcmV0OjE="},
            "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M="},
            "https://old.example/v1/": {"auth": "cGF0aDpwYXNz"},
            "token.example": {"auth": "", "identitytoken": "very-secret-token"}
        }, "detachKeys": "ctrl-e,e"}"#,
    );
    let login = async |image| login_for(dir.path(), image).await.unwrap();
    assert_eq!(login("registry.example:5000/team/agent:2").await, password("op", "secret:1"));
    for image in ["agent", "team/agent:2", "docker.io/team/agent", "index.docker.io/a/b"] {
        assert_eq!(login(image).await, password("hub", "pass"), "{image}");
    }
    assert_eq!(login("old.example/agent@sha256:01").await, password("path", "pass"));
    let token = Login::IdentityToken("very-secret-token".into());
    assert_eq!(login("token.example/agent").await, Some(token));
    assert_eq!(login("registry.example/agent").await, None);
    assert_eq!(login("localhost/agent").await, None);
}

#[tokio::test]
async fn without_a_configuration_there_is_no_login() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(login_for(dir.path(), "agent").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_wrong_is_named_without_the_secret() {
    for config in [
        r#"{"auths": {"r.example": "c2VjcmV0LXBhc3N3b3Jk"}}"#,
        r#"{"auths": {"r.example": {"auth": "c2VjcmV0LXBhc3N3b3Jk"}}}"#,
        r#"{"auths": {"r.example": {"auth": "not base64: c2VjcmV0LXBhc3N3b3Jk"}}}"#,
    ] {
        let dir = folder(config);
        let error = login_for(dir.path(), "r.example/agent").await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("config.json"), "{shown}");
        assert!(!shown.contains("c2VjcmV0") && !shown.contains("secret-pass"), "{shown}");
    }
}

#[tokio::test]
async fn a_helper_is_told_the_registry_and_asked_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"[ "$1" = get ] || exit 3
        printf '{"ServerURL":"%s","Username":"%s","Secret":"s3"}' "$registry" "$registry""#;
    let helper = helper(&dir, script);
    let config = r#"{"auths": {"r.example": {}}, "credHelpers": {"https://docker.io": "test"},
        "credsStore": "test"}"#;
    fs::write(dir.path().join("config.json"), config).unwrap();
    let login = async |image| {
        let program_of = |name: &str| if name == "test" { helper.clone() } else { String::new() };
        login_by(dir.path(), image, program_of).await.unwrap()
    };
    assert_eq!(login("r.example/agent").await, password("r.example", "s3"));
    assert_eq!(login("agent").await, password(HUB, "s3"));
}

#[tokio::test]
async fn a_helper_may_have_a_token_or_nothing_or_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let answer = async |script: &str| {
        let helper = helper(&dir, script);
        ask(&helper, "r.example", dir.path()).await
    };
    let token = r#"printf '{"Username":"<token>","Secret":"t0"}'"#;
    assert_eq!(answer(token).await, Ok(Some(Login::IdentityToken("t0".into()))));
    let nothing = "echo 'credentials not found in native keychain'; exit 1";
    assert_eq!(answer(nothing).await, Ok(None));
    let trouble = answer("echo 'the vault is sealed'; exit 2").await.unwrap_err();
    assert!(trouble.contains("the vault is sealed"), "{trouble}");
    let garbage = answer("echo 'my secret is x'").await.unwrap_err();
    assert!(!garbage.contains("my secret"), "{garbage}");
    let absent = ask("no-such-helper", "r.example", dir.path()).await.unwrap_err();
    assert!(absent.contains("no such program"), "{absent}");
}

proptest! {
    #[test]
    fn every_image_has_a_registry_and_no_tag_or_path_is_part_of_it(
        host in "[a-z]{1,8}\\.example(:[0-9]{2,4})?", name in "[a-z]{1,5}(/[a-z]{1,5}){0,2}(:[a-z0-9]{1,4})?",
    ) {
        prop_assert_eq!(registry_of(&format!("{host}/{name}")), host.as_str());
        prop_assert_eq!(registry_name(&format!("https://{host}/v2/")), host);
    }
}
