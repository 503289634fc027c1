use super::*;

fn pair(name: &str, value: &str) -> (OsString, OsString) {
    (name.into(), value.into())
}

#[test]
fn git_sees_neither_tokens_nor_settings_of_ours() {
    let environment = [
        pair("GITHUB_TOKEN", "ghp_secret"),
        pair("GIT_CONFIG_COUNT", "1"),
        pair("GIT_DIR", "/elsewhere"),
        pair("PATH", "/bin"),
        pair("HTTPS_PROXY", "http://proxy:3128"),
    ];
    let kept = kept(environment);
    assert_eq!(kept, [pair("PATH", "/bin"), pair("HTTPS_PROXY", "http://proxy:3128")]);
}

#[test]
fn a_ca_bundle_reaches_git_under_the_name_it_reads() {
    let own = kept([pair("SSL_CERT_FILE", "/ca.pem")]);
    assert!(own.contains(&pair("GIT_SSL_CAINFO", "/ca.pem")));
    let both = kept([pair("SSL_CERT_FILE", "/ca.pem"), pair("GIT_SSL_CAINFO", "/git.pem")]);
    assert!(!both.contains(&pair("GIT_SSL_CAINFO", "/ca.pem")));
}

#[tokio::test]
async fn a_cancelled_run_starts_no_command() {
    let git = testing::git();
    git.cancel.cancel();
    let call = Call::new(Operation::Local("version"), "nothing").arg("version");
    let error = git.local(&call).await.unwrap_err();
    assert!(matches!(error, GitError::Cancelled { .. }), "{error}");
}
