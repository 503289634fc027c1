//! The environment of a coding CLI, built from nothing.
//!
//! Invariant: an allow-list. The forge's token, the worker API's key and the Director's key are not
//! known here, so they cannot be in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::push_guard::PushGuard;
use crate::settings::PLAIN_NAMES;

/// Plain names that are ours and not the worker's: it has a home and a temporary folder of its own.
const OURS: [&str; 5] = ["HOME", "TMPDIR", "USER", "TERM", "RUST_BACKTRACE"];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a worker's environment is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'g> {
    /// Plain names and values of our own environment.
    pub(crate) plain: &'g [(String, String)],
    /// The worker's private home.
    pub(crate) home: &'g Path,
    /// Its temporary folder.
    pub(crate) temporary: &'g Path,
    /// Where package managers may keep downloads, by the variables that tell them.
    pub(crate) caches: &'g [(&'static str, PathBuf)],
    /// What answers `git push`.
    pub(crate) push_guard: &'g PushGuard,
    /// The Docker engine it may use.
    pub(crate) docker_host: Option<&'g str>,
    /// Name and e-mail address for commits that it makes by itself.
    pub(crate) author: (&'g str, &'g str),
}

/// Names and values, without those of the CLI itself.
pub(crate) fn build(ground: &Ground<'_>) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        environment.retain(|(known, _)| known != name);
        environment.push((name.into(), value.as_ref().to_owned()));
    };
    set("PATH", &DEFAULT_PATH);
    set("LANG", &"C.UTF-8");
    for (name, value) in ground.plain {
        if PLAIN_NAMES.contains(&name.as_str()) && !OURS.contains(&name.as_str()) {
            set(name, value);
        }
    }
    for (name, value) in proxy_exceptions(ground.plain) {
        set(name, &value);
    }
    set("HOME", &ground.home);
    set("TMPDIR", &ground.temporary);
    let (name, email) = ground.author;
    for (role, value) in [("NAME", name), ("EMAIL", email)] {
        set(&format!("GIT_AUTHOR_{role}"), &value);
        set(&format!("GIT_COMMITTER_{role}"), &value);
    }
    // A git that asks for a password would wait for ever.
    set("GIT_TERMINAL_PROMPT", &"0");
    for (name, folder) in ground.caches {
        set(name, folder);
    }
    if let Some(host) = ground.docker_host {
        set("DOCKER_HOST", &host);
    }
    ground.push_guard.extend(&mut environment);
    environment
}

/// Where there is a proxy, it is not asked for what is on this machine: the model's gateway is.
fn proxy_exceptions(plain: &[(String, String)]) -> Vec<(&'static str, String)> {
    const NAMES: [&str; 2] = ["NO_PROXY", "no_proxy"];
    let is_proxy =
        |name: &str| name.to_ascii_uppercase().ends_with("_PROXY") && !NAMES.contains(&name);
    if !plain.iter().any(|(name, _)| is_proxy(name)) {
        return Vec::new();
    }
    let given = |name: &str| plain.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let exceptions = NAMES.map(|name| {
        let given = given(name).or_else(|| NAMES.iter().find_map(|name| given(name)));
        let given = given.map(|given| format!("{given},")).unwrap_or_default();
        (name, format!("{given}127.0.0.1,localhost,::1"))
    });
    exceptions.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names without those by which git is told what a push is.
    fn names(ground: &Ground<'_>) -> Vec<String> {
        let names = build(ground).into_iter().map(|(name, _)| name.into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("GIT_CONFIG_")).collect();
        names.sort();
        names
    }

    #[test]
    fn only_allowed_names_reach_the_worker() {
        let plain = [
            ("HOME", "/root"),
            ("GITHUB_TOKEN", "ghp_1"),
            ("TERARCHITECT_WORKER_API_KEY", "k"),
            ("AGENT_API_KEY", "k"),
            ("HTTPS_PROXY", "http://proxy:3128"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground {
            plain: &plain,
            home: Path::new("/job/home"),
            temporary: Path::new("/job/tmp"),
            caches: &[],
            push_guard: &PushGuard::write(folder.path()).unwrap(),
            docker_host: None,
            author: ("Agent", "agent@example.org"),
        };
        let expected = [
            "GIT_AUTHOR_EMAIL",
            "GIT_AUTHOR_NAME",
            "GIT_COMMITTER_EMAIL",
            "GIT_COMMITTER_NAME",
            "GIT_TERMINAL_PROMPT",
            "HOME",
            "HTTPS_PROXY",
            "LANG",
            "NO_PROXY",
            "PATH",
            "TMPDIR",
            "no_proxy",
        ];
        assert_eq!(names(&ground), expected);
        let home = build(&ground).into_iter().find(|(name, _)| name == "HOME").unwrap().1;
        assert_eq!(home, "/job/home");
    }

    #[test]
    fn a_proxy_is_not_asked_for_this_machine() {
        let plain = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect()
        };
        let here = "127.0.0.1,localhost,::1";
        assert_eq!(proxy_exceptions(&plain(&[("NO_PROXY", "x")])), []);
        let with = proxy_exceptions(&plain(&[("http_proxy", "http://p:1"), ("NO_PROXY", "x")]));
        assert_eq!(with, [("NO_PROXY", format!("x,{here}")), ("no_proxy", format!("x,{here}"))]);
        let without = proxy_exceptions(&plain(&[("HTTPS_PROXY", "http://p:1")]));
        assert_eq!(without[1], ("no_proxy", here.to_owned()));
    }

    #[test]
    fn caches_and_an_engine_are_told_by_the_usual_names() {
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground {
            plain: &[],
            home: Path::new("/h"),
            temporary: Path::new("/t"),
            caches: &[("PIP_CACHE_DIR", PathBuf::from("/cache/pip"))],
            push_guard: &PushGuard::write(folder.path()).unwrap(),
            docker_host: Some("tcp://docker:2375"),
            author: ("a", "b"),
        };
        let environment = build(&ground);
        let value =
            |name: &str| environment.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(value("PIP_CACHE_DIR"), "/cache/pip");
        assert_eq!(value("DOCKER_HOST"), "tcp://docker:2375");
    }
}
