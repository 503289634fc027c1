//! One container, from its start to its end, with the network of this host.

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::engine::Engine;

/// What is run.
#[derive(Clone, Debug, Default)]
pub struct Once {
    /// The image.
    pub image: String,
    /// The program and its arguments, where it is not the image's own.
    pub command: Option<Vec<String>>,
    /// The environment, `NAME=value`.
    pub environment: Vec<String>,
    /// Volumes and folders, `from:to`.
    pub binds: Vec<String>,
    /// Folders that are in memory.
    pub in_memory: Vec<String>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i64,
    /// What it printed.
    pub stdout: String,
    /// The same, of its messages.
    pub stderr: String,
}

impl Engine {
    /// Runs a container to its end, and removes it.
    ///
    /// # Panics
    /// When the engine says no.
    pub async fn once(&self, once: &Once) -> Ended {
        let body = ContainerCreateBody {
            image: Some(once.image.clone()),
            entrypoint: once.command.clone(),
            env: Some(once.environment.clone()),
            host_config: Some(HostConfig {
                binds: Some(once.binds.clone()),
                tmpfs: Some(
                    once.in_memory.iter().map(|path| (path.clone(), "exec".to_owned())).collect(),
                ),
                network_mode: Some("host".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let docker = self.docker();
        let made = docker.create_container(None::<CreateContainerOptions>, body).await;
        let id = made.expect("a container").id;
        let started = docker.start_container(&id, None::<StartContainerOptions>).await;
        started.expect("it starts");
        let code = match docker.wait_container(&id, None::<WaitContainerOptions>).next().await {
            Some(Ok(ended)) => ended.status_code,
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
            other => panic!("{other:?}"),
        };
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let mut pieces = docker.logs(&id, Some(options));
        while let Some(Ok(piece)) = pieces.next().await {
            let into =
                if matches!(piece, LogOutput::StdErr { .. }) { &mut stderr } else { &mut stdout };
            into.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
        }
        let options = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
        docker.remove_container(&id, Some(options)).await.expect("it is removed");
        Ended { code, stdout, stderr }
    }

    /// Removes a volume, if it is there.
    pub async fn remove_volume(&self, name: &str) {
        let _gone = self.docker().remove_volume(name, None::<RemoveVolumeOptions>).await;
    }
}
