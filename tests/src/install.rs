//! The packages, as an operator meets them: installed on a machine with a real systemd and a real engine,
//! started, restarted, hung, upgraded and purged, while jobs run; and the pages for somebody new, done as they
//! are written.
//!
//! The machines are containers; app and forge are on this host, but for the pages, which have the app on a
//! machine. The agent is the real one, with a coding CLI that waits until it is told to go on. Steps build on those
//! before them, so that one that fails may take others with it: the first one counts.

mod kind;
mod life;
mod machine;
mod network;
mod package;
mod pages;
mod report;
mod scene;
mod terminal;
mod walk;

use std::path::PathBuf;

use clap::ValueEnum;

use self::kind::Kind;
pub use self::report::Report;
use self::scene::Scene;
use crate::harness::Engine;

/// The packages under test.
#[derive(Clone, Debug)]
pub struct Packages {
    /// For Debian and its relatives.
    pub deb: Versions,
    /// For Fedora and its relatives.
    pub rpm: Versions,
}

/// Two versions of a package.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The one that is installed first.
    pub first: PathBuf,
    /// The one that it is upgraded to.
    pub second: PathBuf,
}

/// What can be tested alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The `.deb`, through everything.
    Deb,
    /// The `.rpm`: what its own scripts do.
    Rpm,
    /// What the pages tell to somebody new.
    Pages,
}

/// Takes all steps of these parts, and tells of each as it is done.
pub async fn run(engine: &Engine, packages: &Packages, parts: &[Part]) -> Report {
    let mut report = Report::default();
    for part in parts {
        match part {
            Part::Deb => deb(engine, &packages.deb, &mut report).await,
            Part::Rpm => rpm(engine, &packages.rpm, &mut report).await,
            Part::Pages => pages::run(engine, packages, &mut report).await,
        }
    }
    report
}

async fn deb(engine: &Engine, versions: &Versions, report: &mut Report) {
    let boots = Scene::set(engine, Kind::Deb);
    let Some(mut scene) = report.step("a machine boots", boots).await else { return };
    let scene = &mut scene;
    let first = versions.first.as_path();
    report.step("the package starts nothing", package::installed(scene, first)).await;
    report.step("nothing is set: refused once", package::refused(scene)).await;
    report.step("the agent's image", package::image_made(scene)).await;
    report.step("settings, then start", package::started(scene)).await;
    report.step("a job to its pull request", life::delivered(scene)).await;
    report.step("the journal's fields", life::journal(scene)).await;
    report.step("restart with 3 jobs", life::restarted(scene)).await;
    report.step("hung with 3 jobs: the watchdog", life::hung(scene)).await;
    report.step("killed with 3 jobs", life::killed(scene)).await;
    report.step("app key revoked", life::revoked(scene)).await;
    report.step("on the host, in the unit's sandbox", life::on_host(scene)).await;
    report.step("on the host as root, in the slice", life::in_slice(scene)).await;
    report.step("a second instance", package::instance(scene)).await;
    report.step("upgrade with 3 jobs", package::upgraded(scene, &versions.second)).await;
    report.step("removed with a job", package::removed(scene)).await;
    report.step("installed again: the job ends", package::again(scene, &versions.second)).await;
    report.step("purged with a job", package::purged(scene)).await;
}

async fn rpm(engine: &Engine, versions: &Versions, report: &mut Report) {
    let boots = Scene::set(engine, Kind::Rpm);
    let Some(mut scene) = report.step("rpm: a machine boots", boots).await else { return };
    let scene = &mut scene;
    let first = versions.first.as_path();
    report.step("rpm: the package starts nothing", package::installed(scene, first)).await;
    report.step("rpm: the agent's image", package::image_made(scene)).await;
    report.step("rpm: settings, then start", package::started(scene)).await;
    report.step("rpm: a job to its pull request", life::delivered(scene)).await;
    report.step("rpm: upgrade with 3 jobs", package::upgraded(scene, &versions.second)).await;
    report.step("rpm: purged with a job", package::purged(scene)).await;
}
