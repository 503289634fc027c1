//! Certificates and proxies.

use api_client::Secret;

use super::{APP, Sandbox, setting_value};

const CERTIFICATE: &str = include_str!("../../../../tests/testdata/client.crt");
const KEY: &str = include_str!("../../../../tests/testdata/client.key");
const OTHER_KEY: &str = include_str!("../../../../tests/testdata/other.key");

/// A sandbox with these files, each named by its variable.
fn with_files(files: &[(&str, &str)]) -> Sandbox {
    let mut sandbox = Sandbox::new([APP]);
    for (name, content) in files {
        let path = sandbox.write(name, content, 0o600);
        sandbox.environment = sandbox.environment.with(name, &path);
    }
    sandbox
}

#[test]
fn a_bundle_of_certificates_is_read_and_its_certificates_are_counted() {
    let config = with_files(&[("EXTRA_CA_FILE", &CERTIFICATE.repeat(2))]).load().config;
    assert_eq!(config.app.network.roots.unwrap().count(), 2);
    assert_eq!(config.app.network.identity, None);
}

#[test]
fn a_wrong_bundle_is_one_line_that_names_the_setting_and_what_is_wrong() {
    let cut = &CERTIFICATE[..CERTIFICATE.len() - 40];
    for (content, part) in [
        ("", "holds no certificate"),
        (KEY, "holds a private key"),
        (cut, "number 1, that cannot be read"),
    ] {
        let error = with_files(&[("EXTRA_CA_FILE", content)]).error();
        assert!(error.starts_with("EXTRA_CA_FILE = "), "{error}");
        assert!(error.contains(part) && error.lines().count() == 1, "{error}");
    }
    let missing = Sandbox::new([APP, ("EXTRA_CA_FILE", "/nowhere/ca.pem")]).error();
    assert!(missing.contains("that can be read (No such file"), "{missing}");
}

#[test]
fn a_client_certificate_needs_its_own_key() {
    let (certificate, key) = (("APP_CLIENT_CERT_FILE", CERTIFICATE), ("APP_CLIENT_KEY_FILE", KEY));
    let config = with_files(&[certificate, key]).load().config;
    assert_eq!(config.app.network.identity.unwrap().certificate(), CERTIFICATE);
    let error = with_files(&[certificate]).error();
    assert!(error.starts_with("APP_CLIENT_KEY is not set"), "{error}");
    let error = with_files(&[key]).error();
    assert!(error.starts_with("APP_CLIENT_CERT_FILE is not set"), "{error}");
    let error = with_files(&[certificate, ("APP_CLIENT_KEY_FILE", OTHER_KEY)]).error();
    assert!(error.contains("does not belong to the client certificate"), "{error}");
    assert!(!error.contains("BEGIN"), "{error}");
}

#[test]
fn a_client_certificate_that_nobody_sees_is_told() {
    let files = [("APP_CLIENT_CERT_FILE", CERTIFICATE), ("APP_CLIENT_KEY_FILE", KEY)];
    let notices = with_files(&files).load().notices.concat();
    assert!(notices.contains("APP_CLIENT_CERT_FILE is not shown to anybody"), "{notices}");
}

#[test]
fn the_agents_may_have_other_proxies_than_the_coordinator_or_none() {
    let own = Sandbox::new([
        APP,
        ("HTTPS_PROXY", "http://of-all:1"),
        ("http_proxy", "http://of-all:1"),
        ("NO_PROXY", "of-all"),
        ("AGENT_HTTPS_PROXY", "http://me:pw@of-agents:2"),
        ("AGENT_HTTP_PROXY", "direct"),
        ("AGENT_NO_PROXY", "of-agents"),
    ]);
    let loaded = own.load();
    for (name, value) in [
        ("HTTPS_PROXY", Some("http://me:pw@of-agents:2")),
        ("https_proxy", Some("http://me:pw@of-agents:2")),
        ("http_proxy", Some("")),
        ("NO_PROXY", Some("of-agents")),
        ("no_proxy", Some("of-agents")),
    ] {
        assert_eq!(setting_value(&loaded, name), value, "{name}");
    }
    assert!(
        loaded
            .config
            .agent
            .settings
            .secrets()
            .any(|secret| *secret == Secret::from("http://me:pw@of-agents:2"))
    );
}

#[test]
fn a_proxy_that_our_programs_cannot_ask_is_refused() {
    for (name, value) in [
        ("HTTPS_PROXY", "socks5://proxy:1080"),
        ("AGENT_HTTP_PROXY", "http://"),
        ("http_proxy", "ftp://me:hunter2@proxy"),
    ] {
        let error = Sandbox::new([APP, (name, value)]).error();
        assert!(error.starts_with(name) && error.contains("http://host:port"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
