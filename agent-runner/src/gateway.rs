//! The gateway of a job, in a container of its own beside the agent's: the one way out of the job's
//! network, or the one place that has the model's key, or both.
//!
//! It is the first process of its container, starts nothing, and holds what it was told in memory alone.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use api_client::contract::{AgentExit, GATEWAY_READY_LINE, env, gateway_port};
use api_client::error_chain;
use api_client::http::ProxySettings;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cancel::StopSignals;
use crate::egress::{EgressError, EgressFilter, Places, Policy, Upstream};
use crate::init;
use crate::model_gateway::{ModelGateway, ModelGatewayConfig, ModelGatewayError};
use crate::settings::{self, Layers, SettingsError};

/// Threads for what blocks, which is looking up names.
const BLOCKING_THREADS: usize = 24;

/// The gateway could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    /// The filter could not be opened.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The model's part could not be opened.
    #[error(transparent)]
    Model(#[from] ModelGatewayError),
    /// The system refused.
    #[error("the gateway cannot run")]
    System(#[from] io::Error),
}

/// What a gateway is to do.
#[derive(Debug)]
struct Plan {
    egress: Option<(Policy, ProxySettings)>,
    model: Option<ModelGatewayConfig>,
}

/// What runs.
struct Running {
    egress: Option<EgressFilter>,
    model: Option<ModelGateway>,
}

/// Serves until a signal comes.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn run(layers: &Layers) -> Result<ExitCode, GatewayError> {
    let plan = match Plan::read(layers) {
        Ok(plan) => plan,
        Err(error) => {
            tracing::error!("{}", error_chain(&error));
            return Ok(ExitCode::from(AgentExit::Misconfigured.code()));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let served = runtime.block_on(Box::pin(serve(plan)));
    // A name that is being looked up must not hold the exit.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

impl Plan {
    fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let egress = match Policy::read(layers)? {
            Some(policy) => Some((policy, settings::gateway_proxies(layers)?)),
            None => None,
        };
        let model = layers.handed_over(env::MODEL_GATEWAY_KEY);
        let model = model.map(|_| ModelGatewayConfig::read(layers)).transpose()?;
        if egress.is_none() && model.is_none() {
            return Err(SettingsError::Missing {
                name: env::MODEL_GATEWAY_KEY,
                purpose: "a gateway with AGENT_EGRESS=open has nothing to do but serve the model",
            });
        }
        Ok(Self { egress, model })
    }
}

async fn serve(plan: Plan) -> Result<(), GatewayError> {
    let cancel = CancellationToken::new();
    let signals = StopSignals::new()?.watch(cancel.clone());
    let _signals = AbortOnDropHandle::new(tokio::spawn(signals));
    init::accept_signals().map_err(io::Error::from)?;
    let running = Running::start(plan, &cancel).await?;
    say_ready()?;
    cancel.cancelled().await;
    running.stop().await;
    Ok(())
}

impl Running {
    async fn start(plan: Plan, cancel: &CancellationToken) -> Result<Self, GatewayError> {
        let egress = match plan.egress {
            Some((policy, proxies)) => {
                let upstream = Upstream::new(&proxies);
                Some(EgressFilter::listen(Places::GATEWAY, policy, upstream, cancel).await?)
            }
            None => None,
        };
        let model = match plan.model {
            Some(config) => {
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, gateway_port::MODEL));
                Some(ModelGateway::listen(address, config, cancel.child_token()).await?)
            }
            None => None,
        };
        Ok(Self { egress, model })
    }

    async fn stop(self) {
        if let Some(model) = self.model {
            let totals = model.shutdown().await;
            tracing::info!(%totals, "the model was used");
        }
        if let Some(egress) = self.egress {
            egress.shutdown().await;
        }
    }
}

/// The first line of standard output.
fn say_ready() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{GATEWAY_READY_LINE}")?;
    stdout.flush()
}
