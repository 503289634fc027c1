//! The package, as an operator meets it: installed on a machine with a real systemd and a real engine,
//! started, restarted, hung, upgraded and purged, while jobs run.
//!
//! The machine is a container; app and forge are on this host. The agent is the real one, with a coding CLI
//! that waits until it is told to go on. Steps build on those before them, so that one that fails may take
//! others with it: the first one counts.

mod life;
mod machine;
mod package;
mod report;
mod scene;

use std::path::PathBuf;

use crate::harness::Engine;

pub use report::Report;
use scene::Scene;

/// The packages under test.
#[derive(Clone, Debug)]
pub struct Packages {
    /// The one that is installed first.
    pub first: PathBuf,
    /// The one that it is upgraded to.
    pub second: PathBuf,
}

/// Takes all steps, and tells of each as it is done.
pub async fn run(engine: &Engine, packages: &Packages) -> Report {
    let mut report = Report::default();
    let Some(mut scene) = report.step("a machine boots", Scene::set(engine)).await else {
        return report;
    };
    let scene = &mut scene;
    let first = packages.first.as_path();
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
    report.step("upgrade with 3 jobs", package::upgraded(scene, &packages.second)).await;
    report.step("removed with a job", package::removed(scene)).await;
    report.step("installed again: the job ends", package::again(scene, &packages.second)).await;
    report.step("purged with a job", package::purged(scene)).await;
    report
}
