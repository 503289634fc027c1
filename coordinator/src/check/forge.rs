//! Whether the agents' tokens open the forge: valid, of the scopes that a job needs, allowed to push to each
//! repository that the app names, and of the kind whose commits start CI.
//!
//! Invariants: nothing is changed there; a token is in a header and nowhere else, and no message holds it.
//! Whether it may push is what git itself would be told (the first answer of `git-receive-pack`), since what
//! an API says is the right of a person, which a token need not have.

mod ask;
mod judge;
mod kind;

use api_client::contract::env;
use api_client::wire::ExecutionMode;
use api_client::{ProjectId, Secret, error_chain};
use url::Url;

use self::ask::Asker;
use self::kind::ForgeKind;
use super::app::AppLook;
use super::clock::Reading;
use super::finding::Finding;
use super::proxy::Way;
use super::url::{bare, has_credentials, shown};
use crate::config::{AgentConfig, Config, ProjectFilter};
use crate::context::Context;
use crate::forge_token::{self, forge_api};
use crate::github_app::{PUBLIC_API, Repository};

/// More repositories than these are not asked about: it would take minutes.
const MOST: usize = 20;

/// What was seen of the forges.
#[derive(Debug, Default)]
pub(super) struct ForgeLook {
    pub(super) findings: Vec<Finding>,
    pub(super) clock: Option<Reading>,
    /// Whether a forge gave no answer.
    pub(super) silent: bool,
    /// What agents open there, by project: the repository, and the API where its place is known.
    pub(super) opened: Vec<(ProjectId, Url)>,
}

/// A repository whose jobs this coordinator takes.
#[derive(Debug)]
struct Target {
    project: ProjectId,
    repo: Url,
}

/// A token of the settings, and what it is for.
#[derive(Debug)]
struct Account<'c> {
    token: &'c Secret,
    api: Url,
    kind: ForgeKind,
    /// Where it is to push.
    targets: Vec<&'c Target>,
}

/// Looks at the forges. What is behind a proxy that is of no use is not asked.
pub(super) async fn look(ctx: &Context, app: &AppLook, way: &Way) -> ForgeLook {
    let config = ctx.config();
    let asker = match Asker::new(ctx.alias, &config.app.network, way) {
        Ok(asker) => asker,
        Err(problem) => {
            let cure = "see EXTRA_CA_FILE, and the certificates of this host";
            return of_findings(vec![Finding::failed("forge", problem, cure)]);
        }
    };
    let listed = repositories(&config, app);
    let all: Vec<Target> = listed.iter().filter_map(Listed::target).take(MOST).collect();
    let (of_app, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|target| served_by_app(&config, target).is_some());
    let mut look = of_findings(with_credentials(&config, &listed));
    look.opened = all.iter().flat_map(|target| opened(&config, target)).collect();
    if config.github_app.is_some() {
        let known = github_app(ctx, &asker).await;
        let is_known = known.cure.is_none();
        look.findings.push(known);
        if is_known {
            for target in &of_app {
                look.findings.push(with_app(ctx, &asker, &config, target).await);
            }
        }
    }
    let (accounts, without) = accounts(&asker, &config, &others).await;
    for account in &accounts {
        look.add(judge::account(&asker, account).await);
    }
    let is_needed = config.github_app.is_none() || !others.is_empty();
    if is_needed && (accounts.is_empty() || without > 0) {
        look.findings.extend(of_the_app(app));
    }
    let count = listed.iter().filter_map(Listed::target).count();
    if count > MOST {
        let found = format!("the first {MOST} of {count} repositories were asked about");
        look.findings.push(Finding::ok("forge", found));
    }
    look
}

impl ForgeLook {
    fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.clock = self.clock.take().or(other.clock);
        self.silent |= other.silent;
    }
}

fn of_findings(findings: Vec<Finding>) -> ForgeLook {
    ForgeLook { findings, ..ForgeLook::default() }
}

/// A project of the app whose jobs run in containers here.
struct Listed<'a> {
    project: ProjectId,
    repo_url: &'a str,
}

impl Listed<'_> {
    /// Its repository, where that is on the web; one with credentials in its URL no agent opens.
    fn target(&self) -> Option<Target> {
        let repo = Url::parse(self.repo_url).ok()?;
        let is_http = matches!(repo.scheme(), "http" | "https") && repo.host().is_some();
        let is_usable = is_http && !has_credentials(self.repo_url);
        is_usable.then_some(Target { project: self.project, repo })
    }
}

/// All of them, as far as the app tells.
fn repositories<'a>(config: &Config, app: &'a AppLook) -> Vec<Listed<'a>> {
    let listed = app.projects.iter().flatten().filter(|project| match &config.projects {
        ProjectFilter::All => true,
        ProjectFilter::Only(ids) => ids.contains(&project.id),
    });
    let in_container = listed.filter(|project| project.execution_mode == ExecutionMode::Docker);
    let named = in_container.filter_map(|project| {
        Some(Listed { project: project.id, repo_url: project.repo_url.as_deref()? })
    });
    named.collect()
}

/// What is said of repositories whose URL holds a token; of those that were asked for by name it was.
fn with_credentials(config: &Config, listed: &[Listed<'_>]) -> Vec<Finding> {
    if config.projects != ProjectFilter::All {
        return Vec::new();
    }
    let held = listed.iter().filter(|one| has_credentials(one.repo_url));
    held.map(|one| {
        let what = format!("project {}", one.project.short());
        let at = shown(one.repo_url);
        let found = format!("its repository's URL holds credentials, which agents refuse: {at}");
        Finding::failed(what, found, "set it without them in the app, and GITHUB_TOKEN")
    })
    .collect()
}

/// What an agent of a project opens beside what its settings name.
fn opened(config: &Config, target: &Target) -> Vec<(ProjectId, Url)> {
    let agent = config.agent_for(target.project);
    let api = match kind::set_api(agent) {
        Some(_) => None,
        None => {
            kind::known(agent, Some(&target.repo)).and_then(|kind| kind.usual_api(&target.repo))
        }
    };
    [Some(target.repo.clone()), api]
        .into_iter()
        .flatten()
        .map(|url| (target.project, bare(&url)))
        .collect()
}

fn token(agent: &AgentConfig) -> Option<&Secret> {
    agent.settings.get(env::GITHUB_TOKEN).filter(|token| !token.is_blank())
}

/// The tokens of the settings, each with its forge; and for how many repositories there is none.
async fn accounts<'c>(
    asker: &Asker<'_>,
    config: &'c Config,
    targets: &[&'c Target],
) -> (Vec<Account<'c>>, usize) {
    let mut accounts: Vec<Account<'c>> = Vec::new();
    let mut without = 0;
    for &target in targets {
        let agent = config.agent_for(target.project);
        let Some(token) = token(agent) else {
            without += 1;
            continue;
        };
        let (kind, api) = asker.forge_of(agent, &target.repo).await;
        let same = |account: &&mut Account<'_>| {
            account.token.expose() == token.expose() && account.api == api
        };
        match accounts.iter_mut().find(same) {
            Some(account) => account.targets.push(target),
            None => accounts.push(Account { token, api, kind, targets: vec![target] }),
        }
    }
    // A token of which no repository is known is looked at as well, where its forge is.
    if accounts.is_empty()
        && let Some(token) = token(&config.agent)
        && let Some((kind, api)) = kind::by_settings(&config.agent)
    {
        accounts.push(Account { token, api, kind, targets: Vec::new() });
    }
    (accounts, without)
}

/// Where the settings have no token, the app's may.
fn of_the_app(app: &AppLook) -> Option<Finding> {
    let what = "forge token";
    let cure = "set GITHUB_TOKEN or GITHUB_TOKEN_FILE, or the app's github_agent_token \
                (terarchitect-app settings set github_agent_token - < FILE)";
    match app.has_forge_token {
        // What an app that is away would say is no question of tokens.
        None if !app.reached => None,
        None => {
            let found = "the settings have none; whether the app has one is not known";
            Some(Finding::note(what, found, cure))
        }
        Some(true) => {
            Some(Finding::ok(what, "the app gives its agents one, which it does not show"))
        }
        Some(false) => {
            let found = "neither the settings nor the app have one: nothing can be pushed";
            Some(Finding::failed(what, found, cure))
        }
    }
}

fn served_by_app(config: &Config, target: &Target) -> Option<Repository> {
    config.github_app.as_ref()?;
    Repository::at(target.repo.as_str(), forge_api(config, Some(target.project)).as_ref())
}

/// Whether the forge knows the GitHub App by its key.
async fn github_app(ctx: &Context, asker: &Asker<'_>) -> Finding {
    let (what, config) = ("GitHub App", ctx.config());
    let public = || Url::parse(PUBLIC_API).ok();
    if let Some(api) = forge_api(&config, None).or_else(public)
        && let Some(why) = asker.no_way_to(&api)
    {
        return Finding::skipped(what, why);
    }
    match forge_token::verify(ctx, &config).await {
        Ok(()) => Finding::ok(what, "the forge knows it by its key; its commits start CI"),
        Err(error) => {
            let cure = "mend GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY (the App's page, Private keys), \
                        and the clock";
            Finding::failed(what, error_chain(&error), cure)
        }
    }
}

/// Whether a token that the App makes may push.
async fn with_app(ctx: &Context, asker: &Asker<'_>, config: &Config, target: &Target) -> Finding {
    let what = judge::push_of(&target.repo);
    let Some(repository) = served_by_app(config, target) else {
        return Finding::ok(what, "not the App's");
    };
    match forge_token::try_once(ctx, Some(target.project), &repository).await {
        Ok(token) => {
            let pushed = judge::push(asker, &what, ForgeKind::GitHub, &target.repo, &token).await;
            pushed.finding
        }
        Err(error) => {
            let cure = "install the App on that repository, with the rights Contents and Pull requests: \
                        write (its page, Install App)";
            Finding::failed(what, error_chain(&error), cure)
        }
    }
}
