//! A command in a container that runs, with something on its standard input that nobody else sees.

use std::time::Duration;

use api_client::Secret;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::TryStreamExt;
use tokio::io::AsyncWriteExt;

use super::{CALL_TIMEOUT, ContainerRef, Engine, EngineError};

/// How long the command may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Most that is kept of what the command says, in bytes.
const SAID_MAX: usize = 4 << 10;

/// How a command in a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executed {
    /// Its exit code; none where the engine does not tell.
    pub(crate) code: Option<i64>,
    /// The beginning of what it wrote.
    pub(crate) said: String,
}

impl Engine {
    /// Runs a command as the container's own user. `input` is in no argument and no description of
    /// the engine; a line end belongs to it where the command waits for one, for not every engine
    /// hands the end of the input on.
    pub(crate) async fn execute(
        &self,
        name: &ContainerRef,
        command: &[&str],
        input: &Secret,
    ) -> Result<Executed, EngineError> {
        let docker = self.docker().await?;
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            ..ExecConfig::default()
        };
        let create = docker.create_exec(&name.0, config);
        let id = self.call(CALL_TIMEOUT, "create a command in", &name.0, create).await?.id;
        let run = async {
            let started = docker.start_exec(&id, None::<StartExecOptions>).await?;
            let StartExecResults::Attached { output, input: mut stdin } = started else {
                return Ok(Vec::new());
            };
            stdin.write_all(input.expose().as_bytes()).await?;
            stdin.flush().await?;
            stdin.shutdown().await?;
            let said = Vec::new();
            let collect = output.try_fold(said, async |mut said: Vec<u8>, piece| {
                said.extend(piece.into_bytes());
                said.truncate(SAID_MAX);
                Ok(said)
            });
            collect.await
        };
        let said = self.call(LIMIT, "run a command in", &name.0, run).await?;
        let inspect = docker.inspect_exec(&id);
        let ended = self.call(CALL_TIMEOUT, "ask for the end of a command in", &name.0, inspect);
        let code = ended.await?.exit_code;
        Ok(Executed { code, said: String::from_utf8_lossy(&said).trim().to_owned() })
    }
}
