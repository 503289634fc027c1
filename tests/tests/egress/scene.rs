//! A job's network with a gateway on it, servers on this host, and shells where an agent would be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Output, Stdio};

use api_client::contract::GATEWAY_READY_LINE;
use integration_tests::harness::{DEADLINE, Engine, cli_image, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// The name by which a container reaches the engine's host.
pub(crate) const HOST: &str = "host.docker.internal";

/// A job's network and the gateway on it; removed when it is dropped.
pub(crate) struct Scene {
    image: &'static str,
    network: String,
    gateway: String,
    address: String,
}

/// How a gateway ended, and what it said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

/// A server on all addresses of this host, which answers every request with the same words.
pub(crate) struct Server {
    pub(crate) port: u16,
    _task: AbortOnDropHandle<()>,
}

impl Scene {
    /// A network with a gateway that is ready and was told this; none where there is no agent's image.
    pub(crate) async fn new(document: &[(&str, &str)]) -> Option<Self> {
        Self::with_options(document, &[]).await
    }

    /// The same with further options of `docker create` for the gateway.
    pub(crate) async fn with_options(document: &[(&str, &str)], options: &[&str]) -> Option<Self> {
        let engine = Engine::or_skip().await?;
        let image = cli_image(&engine).await?;
        let id = Uuid::new_v4().simple().to_string();
        let mut scene = Self {
            image,
            network: format!("terarchitect-test-{id}"),
            gateway: format!("terarchitect-test-gateway-{id}"),
            address: String::new(),
        };
        scene.make_network();
        scene.start_gateway(document, options);
        let said = eventually("a gateway that is ready", async || {
            let said = scene.said();
            let over = said.contains(GATEWAY_READY_LINE) || !scene.gateway_runs();
            over.then_some(said)
        });
        assert!(said.await.starts_with(GATEWAY_READY_LINE), "{}", scene.said());
        scene.address = scene.address_of_gateway();
        Some(scene)
    }

    /// As the coordinator makes it: no way out, and no address of this host on it.
    fn make_network(&self) {
        let closed = "com.docker.network.bridge.inhibit_ipv4=true";
        done(&["network", "create", "--internal", "--opt", closed, &self.network]);
    }

    fn start_gateway(&self, document: &[(&str, &str)], options: &[&str]) {
        let alias = format!("{HOST}:host-gateway");
        let fixed = [
            "create",
            "--interactive",
            "--name",
            &self.gateway,
            "--network",
            &self.network,
            "--user",
            "1000:1000",
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
            "--read-only",
            "--memory",
            "256m",
            "--pids-limit",
            "64",
            "--sysctl",
            "net.ipv4.ip_forward=0",
            "--add-host",
            &alias,
            "--env",
            "TERARCHITECT_JOB_DOCUMENT=stdin",
        ];
        let mut create = fixed.to_vec();
        create.extend(options);
        create.extend([self.image, "gateway"]);
        done(&create);
        done(&["network", "connect", "bridge", &self.gateway]);
        let document: serde_json::Map<_, _> =
            document.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let mut start = Command::new("docker")
            .args(["start", "--attach", "--interactive", &self.gateway])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let text = serde_json::to_vec(&document).unwrap();
        std::io::Write::write_all(&mut start.stdin.take().unwrap(), &text).unwrap();
        // It follows the gateway to its end, which comes with that of the scene.
        std::thread::spawn(move || start.wait());
    }

    /// The gateway's address on the job's network.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The address that this host would have on the job's network.
    pub(crate) fn address_of_host(&self) -> String {
        let form = "{{(index .IPAM.Config 0).Gateway}}";
        text(&done(&["network", "inspect", "--format", form, &self.network]))
    }

    /// The IPv6 addresses of this host on the job's network.
    pub(crate) fn ipv6_addresses_of_host(&self) -> Vec<Ipv6Addr> {
        let id = text(&done(&["network", "inspect", "--format", "{{.Id}}", &self.network]));
        let bridge = format!("br-{}", &id[..12]);
        let all = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        let own = all.lines().filter(|line| line.ends_with(&bridge));
        own.map(|line| u128::from_str_radix(&line[..32], 16).unwrap().into()).collect()
    }

    /// Connects the gateway to a network more.
    pub(crate) fn connect(&self, network: &str) {
        done(&["network", "connect", network, &self.gateway]);
    }

    fn address_of_gateway(&self) -> String {
        let form =
            format!("{{{{(index .NetworkSettings.Networks {:?}).IPAddress}}}}", self.network);
        text(&done(&["container", "inspect", "--format", &form, &self.gateway]))
    }

    /// The gateway's address on the engine's own network.
    pub(crate) fn address_outside(&self) -> String {
        let form = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
        text(&done(&["container", "inspect", "--format", form, &self.gateway]))
    }

    /// What a shell prints where the agent would be, told of the gateway as an agent is; as root, with
    /// the engine's usual capabilities.
    pub(crate) async fn shell(&self, script: &str) -> String {
        let proxy = format!("http://{}:3128", self.address);
        let mut run = tokio::process::Command::new("docker");
        run.args(["run", "--rm", "--network", &self.network]);
        run.args(["--dns", &self.address]);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
            run.args(["--env", &format!("{name}={proxy}")]);
        }
        let direct = format!("localhost,127.0.0.1,::1,{}", self.address);
        for name in ["NO_PROXY", "no_proxy"] {
            run.args(["--env", &format!("{name}={direct}")]);
        }
        run.args(["--entrypoint", "bash", self.image, "-c", script]);
        let run = run.stdin(Stdio::null()).kill_on_drop(true).output();
        all(&tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap())
    }

    /// What the gateway said so far.
    pub(crate) fn said(&self) -> String {
        all(&docker(&["logs", &self.gateway]))
    }

    fn gateway_runs(&self) -> bool {
        let form = "{{.State.Status}}";
        let state = text(&docker(&["container", "inspect", "--format", form, &self.gateway]));
        ["created", "running"].contains(&state.as_str())
    }

    /// Ends the gateway as the coordinator does.
    pub(crate) fn end(self) -> Ended {
        done(&["stop", "--time", "5", &self.gateway]);
        let form = "{{.State.ExitCode}}";
        let code = text(&docker(&["container", "inspect", "--format", form, &self.gateway]));
        Ended { code: code.parse().ok(), said: self.said() }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.gateway]);
        docker(&["network", "rm", &self.network]);
    }
}

impl Server {
    /// Starts it, for both versions of IP where this host has both.
    pub(crate) async fn start(words: &'static str) -> Self {
        let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    // Enough of a server for a request that comes in one piece.
                    let _request = stream.read(&mut [0; 4096]).await;
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{words}",
                        words.len()
                    );
                    let _gone = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { port, _task: AbortOnDropHandle::new(task) }
    }
}

/// The addresses of this host that a container on an ordinary network reaches.
pub(crate) async fn addresses_of_host() -> Vec<IpAddr> {
    let bridge = match Engine::or_skip().await {
        Some(engine) => Some(engine.host_address().await),
        None => None,
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    // Nothing is sent: the system chooses the address that it would be sent from.
    let outward = socket.connect(SocketAddr::from(([1, 1, 1, 1], 9))).await;
    let outward = outward.and_then(|()| socket.local_addr()).map(|address| address.ip());
    [bridge, outward.ok()].into_iter().flatten().collect()
}

pub(crate) fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn done(arguments: &[&str]) -> Output {
    let output = docker(arguments);
    assert!(output.status.success(), "docker {arguments:?}: {}", all(&output));
    output
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn all(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}
