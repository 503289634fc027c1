//! What is on the engine once the ticket is delivered.

use super::scene::Scene;
use crate::matrix::container::Container;

/// How the volume is named in which the runs of a ticket leave where they are.
const STATE: &str = "terarchitect-state-";

/// What a run that came to its end leaves in it: the file by which one run at a time has the volume.
const EMPTY: &str = "/state/lock\n";

/// What has no place there: a container, a network, or anything to go on with.
pub(super) async fn left(scene: &Scene) -> Vec<String> {
    let engine = &scene.deployment.engine;
    let coordinator = scene.deployment.home.id().expect("it was started");
    let mut left = Vec::new();
    for container in engine.containers(&coordinator).await {
        left.push(format!("a container is left: {:?}", container.names));
    }
    for network in engine.networks(&coordinator).await {
        left.push(format!("a network is left: {network}"));
    }
    for volume in engine.volumes(&coordinator).await {
        if volume.starts_with(STATE) {
            let mount = format!("{volume}:/state:ro");
            let command = ["find", "/state", "!", "-type", "d"];
            let files = Container::output_of(engine, &scene.image, &command, Some(mount)).await;
            if files != EMPTY {
                left.push(format!("the ticket's volume holds {files:?}"));
            }
        }
    }
    left
}
