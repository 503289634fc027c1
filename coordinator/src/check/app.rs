//! Whether the app is there, takes the key, and has the projects. Nothing is claimed for it.

use api_client::wire::ListedProject;
use api_client::{ApiError, ProjectId, answers_as_app, error_chain};

use super::certificates;
use super::clock::Reading;
use super::finding::Finding;
use super::proxy::Way;
use super::url::{has_credentials, is_broken, shown};
use crate::clock::now;
use crate::config::ProjectFilter;
use crate::context::Context;

/// What was seen of the app.
#[derive(Debug, Default)]
pub(super) struct AppLook {
    pub(super) findings: Vec<Finding>,
    /// Whether it answered at all.
    pub(super) reached: bool,
    /// Whether it is the app, and lets us in.
    pub(super) is_well: bool,
    pub(super) clock: Option<Reading>,
    /// Its projects, where it lists them.
    pub(super) projects: Option<Vec<ListedProject>>,
    /// Whether it gives its agents a token of the forge; none where it does not tell.
    pub(super) has_forge_token: Option<bool>,
}

/// Looks at the app. Behind a proxy that is of no use nothing is asked.
pub(super) async fn look(ctx: &Context, way: &Way) -> AppLook {
    let config = ctx.config();
    let (api, url) = (ctx.api(), &config.app.url);
    let opened = ctx.alias.rewrite(url);
    if let Some(proxy) = way.broken_for(opened.as_ref().unwrap_or(url)) {
        let why = format!("{proxy}, by which {url} is asked, is of no use");
        return AppLook { findings: vec![Finding::skipped("app", why)], ..AppLook::default() };
    }
    let seen = match api.probe().await {
        Ok(seen) => seen,
        Err(error) => {
            let reached = !matches!(error, ApiError::Unreachable { .. });
            let found = format!("{url} {}", words(&error));
            let findings = vec![Finding::failed("app", found, cure(&error))];
            return AppLook { findings, reached, ..AppLook::default() };
        }
    };
    let clock = seen.date.map(|date| Reading::new("the app's", date, now()));
    let (projects, settings) = (api.projects().await, api.settings().await);
    let is_well = answers_as_app(&projects, settings.is_ok());
    let findings = if is_well {
        let key = if config.app.key.is_some() { "takes the key" } else { "asks for no key" };
        let found = format!("{url} answers in {} ms, and {key}", seen.took.as_millis());
        let mut findings = vec![Finding::ok("app", found)];
        findings.extend(known(&config.projects, projects.as_deref().ok()));
        findings
    } else {
        let found = format!("something answers under {url}, and it is not the app");
        let cure = "set TERARCHITECT_API_URL to the app's base URL, without /api";
        vec![Finding::failed("app", found, cure)]
    };
    let has_forge_token = settings.ok().map(|settings| settings.has_forge_token);
    AppLook { findings, reached: true, is_well, clock, projects: projects.ok(), has_forge_token }
}

/// What came of the question, without its path, which would say nothing to an operator.
fn words(error: &ApiError) -> String {
    match error {
        ApiError::Unreachable { problem, .. } => format!("does not answer: {problem}"),
        ApiError::Unauthorised { status, message, .. } => {
            format!("does not let us in ({status} {message})")
        }
        other => format!("answers otherwise than the app: {}", error_chain(other)),
    }
}

fn cure(error: &ApiError) -> &'static str {
    match error {
        ApiError::Unreachable { problem, .. } => certificates::cure(problem).unwrap_or(
            "start the app, or set TERARCHITECT_API_URL to where it is; curl -v URL says more",
        ),
        ApiError::Unauthorised { .. } => {
            "set TERARCHITECT_WORKER_API_KEY (or TERARCHITECT_WORKER_API_KEY_FILE) to the app's key, \
             then systemctl restart terarchitect-coordinator (where it stands in a file of its own: reload)"
        }
        ApiError::Busy { .. } => "the app's own log says more; try again",
        ApiError::Gone { .. } | ApiError::Refused { .. } | ApiError::Malformed { .. } => {
            "set TERARCHITECT_API_URL to the app's base URL, without /api"
        }
    }
}

/// Whether the app has each of the projects that are named.
fn known(filter: &ProjectFilter, listed: Option<&[ListedProject]>) -> Vec<Finding> {
    let ProjectFilter::Only(ids) = filter else { return Vec::new() };
    ids.iter().map(|id| known_one(*id, listed)).collect()
}

fn known_one(id: ProjectId, listed: Option<&[ListedProject]>) -> Finding {
    let what = format!("project {}", id.short());
    let look = "look its id up (terarchitect-app project list), and mend PROJECT_IDS";
    let Some(listed) = listed else {
        let found = format!("the app does not list its projects: whether it has {id} is not known");
        return Finding::note(what, found, look);
    };
    match listed.iter().find(|project| project.id == id) {
        Some(project) => {
            let url = project.repo_url.as_deref();
            let at = url.map_or_else(|| "a folder of this host".to_owned(), shown);
            if url.is_some_and(is_broken) {
                let found = format!("its repository's URL cannot be read: {at}");
                return Finding::failed(
                    what,
                    found,
                    "mend it in the app, without a user name or password",
                );
            }
            if url.is_some_and(has_credentials) {
                let found =
                    format!("its repository's URL holds credentials, which agents refuse: {at}");
                return Finding::failed(
                    what,
                    found,
                    "set it without them in the app, and GITHUB_TOKEN",
                );
            }
            Finding::ok(what, format!("the app has it: {at}"))
        }
        None => Finding::failed(what, format!("the app has no project {id}"), look),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn listed(id: ProjectId) -> ListedProject {
        let repo_url = Some("https://forge.example/acme/web".to_owned());
        ListedProject { id, repo_url, execution_mode: Default::default() }
    }

    #[test]
    fn a_project_is_known_unknown_or_not_told() {
        let (mine, other) = (ProjectId::random(), ProjectId::random());
        let list = [listed(mine)];
        let filter = ProjectFilter::Only(vec![mine, other]);
        let states =
            |listed| known(&filter, listed).into_iter().map(|f| f.state).collect::<Vec<_>>();
        assert_eq!(states(Some(&list)), [State::Ok, State::Failed]);
        assert_eq!(states(None), [State::Note, State::Note]);
        assert!(known(&ProjectFilter::All, Some(&list)).is_empty());
    }

    #[test]
    fn a_token_in_a_repository_s_url_is_told_and_not_shown() {
        let mut one = listed(ProjectId::random());
        one.repo_url = Some("https://x-access-token:ghp_secret@github.com/acme/web".to_owned());
        let finding = known_one(one.id, Some(&[one]));
        assert_eq!(finding.state, State::Failed);
        assert!(!format!("{finding:?}").contains("ghp_secret"), "{finding:?}");
    }
}
