//! From what a forge answers to what an operator is told.

use api_client::Secret;
use url::Url;

use super::ask::{Asker, Reply};
use super::kind::ForgeKind;
use super::{Account, ForgeLook};
use crate::check::clock::Reading;
use crate::check::finding::Finding;
use crate::clock::now;

const TOKEN: &str = "forge token";

/// The account of GitHub's Actions, whose pushes start no workflow.
const ACTIONS: &str = "github-actions[bot]";

const NEW_TOKEN: &str = "make another token, put it where GITHUB_TOKEN comes from (or GITHUB_TOKEN_FILE), \
                         then systemctl reload terarchitect-coordinator";

/// Whether a token is valid, what it is, and where it may push.
pub(super) async fn account(asker: &Asker, account: &Account<'_>, explained: bool) -> ForgeLook {
    let Account { token, api, kind, targets } = account;
    let reply = match asker.get(api, &["user"], token).await {
        Ok(reply) => reply,
        Err(_) if explained => return ForgeLook::default(),
        Err(problem) => {
            let found = format!("{api} does not answer: {problem}");
            let cure = "mend FORGE_API_URL, or the way there from this host";
            let findings = vec![Finding::failed(TOKEN, found, cure)];
            return ForgeLook { findings, clock: None, silent: true };
        }
    };
    let clock = reply.date().map(|date| Reading::new("the forge's", date, now()));
    let viewer = match (kind, reply.status) {
        // The token of a GitHub App, or of GitHub's Actions, stands for no user.
        (ForgeKind::GitHub, 403) => asker.viewer(api, token).await,
        _ => reply.body["login"].as_str().or(reply.body["username"].as_str()).map(str::to_owned),
    };
    let (mut findings, valid) = valid(*kind, api, &reply, viewer.as_deref());
    if valid {
        for target in targets {
            let what = push_of(&target.repo);
            findings.push(push(asker, &what, *kind, &target.repo, token).await);
        }
    }
    ForgeLook { findings, clock, silent: false }
}

/// What is said of the token, and whether there is a point in trying it.
fn valid(kind: ForgeKind, api: &Url, reply: &Reply, viewer: Option<&str>) -> (Vec<Finding>, bool) {
    let who = viewer.map_or_else(|| "valid".to_owned(), |name| format!("valid, of {name}"));
    let said = reply.words();
    match reply.status {
        401 => {
            let found = format!("{api} does not take it (401 {said})");
            (vec![Finding::failed(TOKEN, found, NEW_TOKEN)], false)
        }
        200..=299 | 403 => match (kind, reply.scopes()) {
            (ForgeKind::GitHub, Some(scopes)) if lacks_repo(&scopes) => {
                let found = format!(
                    "{who}, with the scopes {}: none of them lets it push",
                    scopes.join(", ")
                );
                let cure = "give it the scope repo (and workflow, if agents may change CI), or make a \
                            fine-grained one with Contents and Pull requests: write";
                (vec![Finding::failed(TOKEN, found, cure)], false)
            }
            (_, scopes) => {
                let scopes = scopes.filter(|scopes| !scopes.is_empty());
                let scopes =
                    scopes.map_or_else(String::new, |s| format!(", scopes {}", s.join(", ")));
                let mut findings = vec![Finding::ok(TOKEN, format!("{api}: {who}{scopes}"))];
                findings.extend(starts_ci(kind, viewer));
                (findings, true)
            }
        },
        404 => {
            let found = format!("{api} has no API (404)");
            let cure = "set FORGE_API_URL to the base of the REST API, and FORGE to what it is";
            (vec![Finding::failed(TOKEN, found, cure)], false)
        }
        status => {
            let found = format!("{api} answers {status} {said}");
            (
                vec![Finding::failed(TOKEN, found, "try again; the forge's status page says more")],
                false,
            )
        }
    }
}

/// Whether a classic token has no scope by which it can push. One without any scope is fine-grained.
fn lacks_repo(scopes: &[&str]) -> bool {
    !scopes.is_empty() && !scopes.iter().any(|scope| matches!(*scope, "repo" | "public_repo"))
}

/// Whether commits that are pushed with it start CI.
fn starts_ci(kind: ForgeKind, viewer: Option<&str>) -> Option<Finding> {
    if kind != ForgeKind::GitHub {
        return None;
    }
    Some(if viewer == Some(ACTIONS) {
        let found = "the token is that of a run of GitHub Actions: its pushes and pull requests start no \
                     workflow, and it ends with that run";
        Finding::note("CI", found, "use a GitHub App (GITHUB_APP_ID), or a token of a user")
    } else {
        Finding::ok("CI", "pushes with this token start workflows")
    })
}

/// What the finding about pushes to a repository is called.
pub(super) fn push_of(repo: &Url) -> String {
    let path = repo.path().trim_matches('/');
    format!("push, {}", path.strip_suffix(".git").unwrap_or(path))
}

/// Whether a token may push to a repository.
pub(super) async fn push(
    asker: &Asker,
    what: &str,
    kind: ForgeKind,
    repo: &Url,
    token: &Secret,
) -> Finding {
    match asker.begin_push(kind, repo, token).await {
        Ok(status) => push_answer(what, repo, status),
        Err(problem) => {
            let found = format!("{repo} does not answer: {problem}");
            Finding::failed(
                what,
                found,
                "mend the project's repository URL in the app, or the way there",
            )
        }
    }
}

fn push_answer(what: &str, repo: &Url, status: u16) -> Finding {
    let rights = "give the token's account the right to write there, and the token Contents and Pull \
                  requests: write (GitLab: the role Developer)";
    match status {
        200 => Finding::ok(what, "the token may push"),
        401 | 403 => Finding::failed(what, format!("the token may not push ({status})"), rights),
        404 => {
            let found = format!("{repo} is not there, or the token may not see it (404)");
            Finding::failed(
                what,
                found,
                "mend the project's repository URL in the app, or give the token \
                                          access to that repository",
            )
        }
        301 | 302 | 307 | 308 => {
            let found = format!("{repo} has moved ({status})");
            Finding::note(what, found, "set the project's repository URL in the app to the new one")
        }
        status => Finding::failed(what, format!("{repo} answers {status}"), "try again later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::State;

    #[test]
    fn what_git_is_told_decides_about_pushes() {
        let repo = Url::parse("https://forge.example/acme/web.git").unwrap();
        assert_eq!(push_of(&repo), "push, acme/web");
        for (status, state) in [
            (200, State::Ok),
            (301, State::Note),
            (401, State::Failed),
            (403, State::Failed),
            (404, State::Failed),
            (503, State::Failed),
        ] {
            assert_eq!(push_answer("push", &repo, status).state, state, "{status}");
        }
    }

    #[test]
    fn scopes_that_let_no_one_push_are_told_from_none() {
        assert!(lacks_repo(&["read:user", "read:org"]));
        assert!(!lacks_repo(&["repo", "workflow"]));
        assert!(!lacks_repo(&[]));
    }

    #[test]
    fn commits_of_actions_start_no_workflow() {
        let state = |viewer| starts_ci(ForgeKind::GitHub, viewer).unwrap().state;
        assert_eq!(state(Some(ACTIONS)), State::Note);
        assert_eq!(state(Some("my-app[bot]")), State::Ok);
        assert_eq!(starts_ci(ForgeKind::GitLab, Some("bot")), None);
    }
}
