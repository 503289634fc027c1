//! Whether the app is there, takes the key, and has the projects. Nothing is claimed for it.

use api_client::wire::ListedProject;
use api_client::{ApiError, ProjectId, error_chain};

use super::clock::Reading;
use super::finding::Finding;
use crate::clock::now;
use crate::config::ProjectFilter;
use crate::context::Context;

/// What was seen of the app.
#[derive(Debug, Default)]
pub(super) struct AppLook {
    pub(super) findings: Vec<Finding>,
    /// Whether it answered at all.
    pub(super) reached: bool,
    pub(super) clock: Option<Reading>,
    /// Its projects, where it lists them.
    pub(super) projects: Option<Vec<ListedProject>>,
    /// Whether it gives its agents a token of the forge; none where it does not tell.
    pub(super) has_forge_token: Option<bool>,
}

/// Whether what answers under a URL is the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    App,
    SomethingElse,
}

/// Looks at the app. Where `explained`, silence has a cause that was told before.
pub(super) async fn look(ctx: &Context, explained: bool) -> AppLook {
    let config = ctx.config();
    let (api, url) = (ctx.api(), &config.app.url);
    let seen = match api.probe().await {
        Ok(seen) => seen,
        Err(ApiError::Unreachable { .. }) if explained => return AppLook::default(),
        Err(error) => {
            let reached = !matches!(error, ApiError::Unreachable { .. });
            let found = format!("{url} {}", words(&error));
            let findings = vec![Finding::failed("app", found, cure(&error))];
            return AppLook { findings, reached, ..AppLook::default() };
        }
    };
    let clock = seen.date.map(|date| Reading::new("the app's", date, now()));
    let (projects, settings) = (api.projects().await, api.settings().await);
    let findings = match identity(&projects, settings.is_ok()) {
        Identity::SomethingElse => {
            let found = format!("something answers under {url}, and it is not the app");
            let cure = "set TERARCHITECT_API_URL to the app's base URL, without /api";
            vec![Finding::failed("app", found, cure)]
        }
        Identity::App => {
            let key = if config.app.key.is_some() { "takes the key" } else { "asks for no key" };
            let found = format!("{url} answers in {} ms, and {key}", seen.took.as_millis());
            let mut findings = vec![Finding::ok("app", found)];
            findings.extend(known(&config.projects, projects.as_deref().ok()));
            findings
        }
    };
    let has_forge_token = settings.ok().map(|settings| settings.has_forge_token);
    AppLook { findings, reached: true, clock, projects: projects.ok(), has_forge_token }
}

/// An app refuses in words of its own; a page of something else, or a 404 without any, is not its.
fn identity(projects: &Result<Vec<ListedProject>, ApiError>, has_settings: bool) -> Identity {
    match projects {
        Err(ApiError::Gone { message, .. }) if message.is_empty() && !has_settings => {
            Identity::SomethingElse
        }
        Err(ApiError::Malformed { .. }) if !has_settings => Identity::SomethingElse,
        _ => Identity::App,
    }
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
        ApiError::Unreachable { .. } => {
            "start the app, or set TERARCHITECT_API_URL to where it is; curl -v URL says more"
        }
        ApiError::Unauthorised { .. } => {
            "set TERARCHITECT_WORKER_API_KEY (or TERARCHITECT_WORKER_API_KEY_FILE) to the app's key, \
             then systemctl reload terarchitect-coordinator"
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
            let at = project.repo_url.as_deref().unwrap_or("a folder of this host");
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
}
