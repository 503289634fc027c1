//! From what a forge answers to what an operator is told.

use api_client::Secret;
use url::Url;

use super::ask::{Asker, Reply};
use super::kind::ForgeKind;
use super::{Account, ForgeLook, of_findings};
use crate::check::certificates;
use crate::check::clock::Reading;
use crate::check::finding::Finding;
use crate::check::url::bare;
use crate::clock::now;

const TOKEN: &str = "forge token";

/// The account of GitHub's Actions, whose pushes start no workflow.
const ACTIONS: &str = "github-actions[bot]";

const NEW_TOKEN: &str = "make another token, put it where GITHUB_TOKEN comes from (or GITHUB_TOKEN_FILE), \
                         then systemctl restart terarchitect-coordinator (where it stands in a file of \
                         its own: reload)";

const GITLAB_SCOPES: &str = "make another token with the scope api: without it no merge request can be \
                             opened (docs/agent.md)";

/// Whether a token is valid, what it is, and where it may push.
pub(super) async fn account(asker: &Asker<'_>, account: &Account<'_>) -> ForgeLook {
    let Account { token, api, kind, targets } = account;
    if let Some(why) = asker.no_way_to(api) {
        return of_findings(vec![Finding::skipped(TOKEN, why)]);
    }
    let reply = match asker.get(api, &["user"], token).await {
        Ok(reply) => reply,
        Err(problem) => {
            let found = format!("{} does not answer: {problem}", bare(api));
            let cure = certificates::cure(&problem)
                .unwrap_or("mend FORGE_API_URL, or the way there from this host");
            let findings = vec![Finding::failed(TOKEN, found, cure)];
            return ForgeLook { findings, silent: true, ..ForgeLook::default() };
        }
    };
    let clock = reply.date().map(|date| Reading::new("the forge's", date, now()));
    let viewer = match (kind, reply.status) {
        // The token of a GitHub App, or of GitHub's Actions, stands for no user.
        (ForgeKind::GitHub, 403) => asker.viewer(api, token).await,
        _ => reply.body["login"].as_str().or(reply.body["username"].as_str()).map(str::to_owned),
    };
    // GitLab tells the scopes of any token to itself.
    let own = match (kind, reply.status) {
        (ForgeKind::GitLab, 200..=299 | 403) => {
            asker.get(api, &["personal_access_tokens", "self"], token).await.ok()
        }
        _ => None,
    };
    let own = own.as_ref().and_then(Reply::own_scopes);
    let (mut findings, valid) = valid(*kind, &bare(api), &reply, viewer.as_deref(), own.as_deref());
    let mut silent = false;
    if valid {
        for target in targets {
            let what = push_of(&target.repo);
            let pushed = push(asker, &what, *kind, &target.repo, token).await;
            findings.push(pushed.finding);
            silent |= pushed.silent;
        }
    }
    ForgeLook { findings, clock, silent, ..ForgeLook::default() }
}

/// What is said of the token, and whether there is a point in trying it. `own` are the scopes that GitLab
/// tells a token.
fn valid(
    kind: ForgeKind,
    api: &Url,
    reply: &Reply,
    viewer: Option<&str>,
    own: Option<&[&str]>,
) -> (Vec<Finding>, bool) {
    let who = viewer.map_or_else(|| "valid".to_owned(), |name| format!("valid, of {name}"));
    let said = reply.words();
    let not_valid = |found: String, cure: &str| (vec![Finding::failed(TOKEN, found, cure)], false);
    match (reply.status, kind) {
        (401, _) => not_valid(format!("{api} does not take it (401 {said})"), NEW_TOKEN),
        (200..=299 | 403, ForgeKind::GitLab) if own.is_some_and(|own| !own.contains(&"api")) => {
            let scopes = own.unwrap_or_default().join(", ");
            not_valid(format!("{who}, with the scopes {scopes}"), GITLAB_SCOPES)
        }
        (403, ForgeKind::GitLab) => {
            not_valid(format!("{api} refuses it (403 {said})"), GITLAB_SCOPES)
        }
        (403, ForgeKind::GitHub) if viewer.is_none() => {
            let found = format!("{api} refuses it (403 {said})");
            let cure = "see what it says: a limit of requests passes; an account that is suspended, or a \
                        list of addresses, is the organisation's to mend";
            not_valid(found, cure)
        }
        // Gitea's say nothing of their user without a scope that no job needs.
        (200..=299 | 403, _) => of_scopes(kind, api, reply, viewer, &who),
        (404, _) => {
            let cure = "set FORGE_API_URL to the base of the REST API, and FORGE to what it is";
            not_valid(format!("{api} has no API (404)"), cure)
        }
        (status, _) => not_valid(
            format!("{api} answers {status} {said}"),
            "try again; the forge's status page says more",
        ),
    }
}

/// What is said of a token that the forge knows.
fn of_scopes(
    kind: ForgeKind,
    api: &Url,
    reply: &Reply,
    viewer: Option<&str>,
    who: &str,
) -> (Vec<Finding>, bool) {
    let scopes = reply.scopes().filter(|scopes| !scopes.is_empty());
    if let (ForgeKind::GitHub, Some(scopes)) = (kind, &scopes)
        && lacks_repo(scopes)
    {
        let scopes = scopes.join(", ");
        let found = format!("{who}, with the scopes {scopes}: none of them lets it push");
        let cure = "give it the scope repo (and workflow, if agents may change CI), or make a \
                    fine-grained one with Contents and Pull requests: write";
        return (vec![Finding::failed(TOKEN, found, cure)], false);
    }
    let scopes = scopes.map_or_else(String::new, |s| format!(", scopes {}", s.join(", ")));
    let mut findings = vec![Finding::ok(TOKEN, format!("{api}: {who}{scopes}"))];
    findings.extend(starts_ci(kind, viewer));
    (findings, true)
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
    let other = "use a GitHub App (GITHUB_APP_ID), or a token of a user";
    Some(match viewer {
        Some(ACTIONS) => {
            let found = "the token is that of a run of GitHub Actions: its pushes and pull requests start \
                         no workflow, and it ends with that run";
            Finding::note("CI", found, other)
        }
        Some(_) => Finding::ok("CI", "pushes with this token start workflows"),
        None => {
            let found = "the forge does not tell whose token it is: whether its pushes start workflows is \
                         not known";
            Finding::note("CI", found, other)
        }
    })
}

/// What the finding about pushes to a repository is called.
pub(super) fn push_of(repo: &Url) -> String {
    let path = repo.path().trim_matches('/');
    format!("push, {}", path.strip_suffix(".git").unwrap_or(path))
}

/// What came of an attempt to push.
pub(super) struct Pushed {
    pub(super) finding: Finding,
    /// Whether nobody answered.
    pub(super) silent: bool,
}

/// Whether a token may push to a repository.
pub(super) async fn push(
    asker: &Asker<'_>,
    what: &str,
    kind: ForgeKind,
    repo: &Url,
    token: &Secret,
) -> Pushed {
    if let Some(why) = asker.no_way_to(repo) {
        return Pushed { finding: Finding::skipped(what, why), silent: true };
    }
    match asker.begin_push(kind, repo, token).await {
        Ok(status) => Pushed { finding: push_answer(what, repo, status), silent: false },
        Err(problem) => {
            let found = format!("{repo} does not answer: {problem}");
            let cure = certificates::cure(&problem)
                .unwrap_or("mend the project's repository URL in the app, or the way there");
            Pushed { finding: Finding::failed(what, found, cure), silent: true }
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
    fn a_refusal_is_a_valid_token_only_where_the_forge_refuses_nothing_that_a_job_needs() {
        let api = Url::parse("https://forge.example/api").unwrap();
        let is_valid =
            |kind, viewer, own: Option<&[&str]>| valid(kind, &api, &Reply::of(403), viewer, own).1;
        assert!(is_valid(ForgeKind::Gitea, None, None));
        assert!(is_valid(ForgeKind::GitHub, Some("my-app[bot]"), None));
        assert!(!is_valid(ForgeKind::GitHub, None, None));
        assert!(!is_valid(ForgeKind::GitLab, None, None));
        assert!(!is_valid(ForgeKind::GitLab, None, Some(&["write_repository"])));
    }

    #[test]
    fn a_token_of_gitlab_needs_the_scope_that_opens_merge_requests() {
        let api = Url::parse("https://forge.example/api/v4").unwrap();
        let is_valid = |own: Option<&[&str]>| {
            valid(ForgeKind::GitLab, &api, &Reply::of(200), Some("bot"), own).1
        };
        assert!(is_valid(None) && is_valid(Some(&["api"])));
        assert!(!is_valid(Some(&["read_user", "write_repository"])));
    }

    #[test]
    fn commits_of_actions_start_no_workflow() {
        let state = |viewer| starts_ci(ForgeKind::GitHub, viewer).unwrap().state;
        assert_eq!(state(Some(ACTIONS)), State::Note);
        assert_eq!(state(Some("my-app[bot]")), State::Ok);
        assert_eq!(state(None), State::Note);
        assert_eq!(starts_ci(ForgeKind::GitLab, Some("bot")), None);
    }
}
