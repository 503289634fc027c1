//! `monitoring`: the alert rules, with Debian's Prometheus.
//!
//! Run it by `tests/monitoring`, which makes the image. `--picture FILE` draws the dashboard, as it is at the end of
//! all conditions, as an SVG file. Its last line is the count.

#![expect(clippy::print_stdout, reason = "what it prints is its purpose")]

use std::path::Path;
use std::process::ExitCode;

use integration_tests::monitoring::{Dashboard, Stage, promtool, scaled};

const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/monitoring");

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut failed = 0;
    let mut check = |what: &str, found: Result<String, String>| match found {
        Ok(said) => println!("{what}: as it has to be\n{said}"),
        Err(said) => {
            failed += 1;
            println!("{what}: WRONG\n{said}");
        }
    };
    let folder = Path::new(MONITORING);
    check("rules", promtool(folder, "check rules terarchitect.rules.yml").await);
    check("tests of the rules", promtool(folder, "test rules terarchitect.rules.test.yml").await);

    let Some(mut stage) = Stage::set().await else { return ExitCode::SUCCESS };
    let Ok(page) = save(&stage.page().await) else { return ExitCode::FAILURE };
    check("metrics", promtool(page.path(), "check metrics < /m/page").await);
    let Ok(rules) = std::fs::read_to_string(folder.join("terarchitect.rules.yml")) else {
        println!("there are no rules in {MONITORING}");
        return ExitCode::FAILURE;
    };
    stage.watch(&scaled(&rules)).await;
    let tried = stage.try_all(|one| println!("{one}")).await;
    failed += tried.iter().filter(|one| !one.is_as_it_has_to_be()).count();
    failed += look_at_dashboard(&stage).await;
    println!("still firing at the end: {:?}", stage.firing().await);
    println!("alerts={} failed={failed}", tried.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether each query of the dashboard has an answer; 0, or 1 where that is not so.
async fn look_at_dashboard(stage: &Stage) -> usize {
    let path = Path::new(MONITORING).join("grafana-dashboard.json");
    let drawn = match Dashboard::read(&path) {
        Ok(dashboard) => stage.picture(&dashboard).await,
        Err(why) => Err(why),
    };
    let picture = match drawn {
        Ok(picture) => picture,
        Err(why) => {
            println!("dashboard: WRONG\n{why}");
            return 1;
        }
    };
    println!("dashboard: {} panels; nothing known for {:?}", picture.panels, picture.empty);
    let mut arguments = std::env::args().skip_while(|argument| argument != "--picture").skip(1);
    match arguments.next().map(|file| std::fs::write(file, &picture.svg)) {
        None | Some(Ok(())) => usize::from(!picture.empty.is_empty()),
        Some(Err(error)) => {
            println!("the picture cannot be written: {error}");
            1
        }
    }
}

fn save(page: &str) -> std::io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("page"), page)?;
    // Prometheus runs as a user of its own.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open)?;
    Ok(folder)
}
