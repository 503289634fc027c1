//! Several coordinators.

use std::collections::BTreeSet;

use integration_tests::harness::{AppProxy, Home, Starts};

use crate::scene::Scene;

#[tokio::test]
async fn a_second_coordinator_of_a_state_directory_refuses_and_names_the_first() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let mut first = scene.home.start();
    first.wait_for_log("ready").await;

    let (code, log) = scene.home.run_once().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("pid {}", first.pid())), "{log}");
    assert!(log.contains("COORDINATOR_STATE_DIR"), "{log}");
    first.terminate().await;
}

#[tokio::test]
async fn two_coordinators_of_one_project_do_each_of_twenty_jobs_once() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    let starts = Starts::watch(&scene.engine);
    scene.app.add_jobs(scene.project, 20).await;
    let mut other = Home::new(&proxy.url());
    scene.home = Home::new(&proxy.url());
    let (first, second) = (scene.home.start(), other.start());

    scene.app.reached("completed", 20).await;
    let reports = proxy.reported(20).await;
    assert_eq!(reports.len(), 20, "{reports:?}");
    assert_eq!(reports.iter().collect::<BTreeSet<_>>().len(), 20, "{reports:?}");
    let counts = [scene.home.id().unwrap(), other.id().unwrap()].map(|id| starts.count(&id));
    assert_eq!(counts.iter().sum::<usize>(), 20);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    first.terminate().await;
    second.terminate().await;
}
