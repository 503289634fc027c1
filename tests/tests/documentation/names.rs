//! Every name of a setting, held against the settings that there are.

use std::collections::BTreeSet;
use std::process::Command;

use integration_tests::documented::root;
use integration_tests::harness::program;

use crate::page::pages;

/// Names of other programs, and of the kernel: no settings of ours.
const OF_OTHERS: &[&str] = &[
    // Capabilities, sockets and calls of the kernel.
    "AF_NETLINK",
    "AF_UNIX",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_PTRACE",
    "DAC_OVERRIDE",
    "NET_ADMIN",
    "PR_SET_DUMPABLE",
    "SYS_ADMIN",
    // Files of git and forges, fields of the journal, errors of TLS, constants in our code.
    "CERTIFICATE_VERIFY_FAILED",
    "CONTAINER_ID",
    "CONTAINER_NAME",
    "FETCH_HEAD",
    "IMAGE_DIGEST",
    "JOB_ID",
    "PULL_REQUEST_TEMPLATE",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "STARTED_LINE",
    "SYSLOG_IDENTIFIER",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    // Variables of systemd, libc and other programs, and the one of the original that means nothing now.
    "CARGO_HTTP_CAINFO",
    "COORDINATOR_REPO_ROOT",
    "CREDENTIALS_DIRECTORY",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "JOURNAL_STREAM",
    "LC_ALL",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_ENV_PROXY",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SOURCE_DATE_EPOCH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STATE_DIRECTORY",
    // Of CI systems, and what the examples call their secrets.
    "AGENT_TOKEN",
    "CI_JOB_TOKEN",
    "GITEA_TOKEN",
    "GIT_STRATEGY",
    // Of our tests.
    "TERARCHITECT_SKIP_DENY",
    "TERARCHITECT_TESTS_PROGRAMS",
    "TERARCHITECT_TESTS_SKIP_DOCKER",
];

/// The name of the variable that makes tests write pages.
const UPDATE: &str = "UPDATE_DOCS";

/// The words of a text that look like names of settings.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        let parts: Vec<_> = word.split('_').collect();
        let is_part = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        parts.len() > 1
            && parts.iter().all(is_part)
            && word.starts_with(|c: char| !c.is_ascii_digit())
    })
}

/// Every setting of the programs, and every argument of the image's build.
fn known() -> BTreeSet<String> {
    let reference = Command::new(program("coordinator"))
        .args(["config", "--reference"])
        .env_clear()
        .output()
        .unwrap();
    assert!(reference.status.success(), "{reference:?}");
    let mut text = String::from_utf8(reference.stdout).unwrap();
    for file in ["agent-runner/README.md", "app/README.md"] {
        let page = std::fs::read_to_string(root().join(file)).unwrap();
        text.extend(
            page.lines().filter(|line| line.starts_with("| `")).map(|line| format!("{line}\n")),
        );
    }
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile.agent")).unwrap();
    text.extend(
        dockerfile.lines().filter(|line| line.starts_with("ARG ")).map(|l| format!("{l}\n")),
    );
    let mut known: BTreeSet<_> = names(&text).map(str::to_owned).collect();
    known.extend(OF_OTHERS.iter().map(|name| (*name).to_owned()));
    known.insert(UPDATE.to_owned());
    known
}

#[test]
fn every_name_that_looks_like_a_setting_is_one() {
    let known = known();
    assert!(known.contains("TERARCHITECT_API_URL") && known.contains("AGENT_OUTCOME_FILE"));
    let mut unknown = BTreeSet::new();
    for page in pages() {
        for name in names(&page.text) {
            let secret = name.strip_suffix("_FILE").is_some_and(|name| known.contains(name));
            if !known.contains(name) && !secret {
                unknown.insert(format!("{}: {name}", page.name()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}
