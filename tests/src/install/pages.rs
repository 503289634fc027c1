//! The ways that the pages tell to somebody new, done as they are written: one box, and two.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::Packages;
use super::machine::Machine;
use super::network::Network;
use super::report::{Report, Shown, shown};
use super::scene::lay_out_image;
use super::walk::{PERSON, Swap, Walk, move_in};
use crate::documented::{Block, Page};
use crate::forge::{ForgeOptions, RepoSource, TestForge, Token};
use crate::harness::{
    AGENT_IMAGE, Engine, build_agent_image, program, repo_name, source_repository,
};

/// Where the person has cloned this repository to.
const CLONE: &str = "terarchitect-coordinator";

/// Gives the person what was put into the person's home.
const OWN_HOME: &str = "chown -R me: /home/me";

/// From where the machines make the agent's image.
const IMAGE_FOLDER: &str = "/srv/image";

/// Machines on a network of their own, and the forge that they reach.
#[derive(Debug)]
struct Site {
    /// By the letters that the page has for them; on the first one is the app, on the last one the coordinator.
    boxes: Vec<(&'static str, Machine)>,
    forge: TestForge,
    token: String,
    _folder: TempDir,
    _network: Network,
}

/// Goes both ways.
pub(super) async fn run(engine: &Engine, packages: &Packages, report: &mut Report) {
    let one = Site::set(engine, packages, &["A"]);
    if let Some(site) = report.step("pages: one box boots", one).await {
        report.step("pages: one box, as written", one_box(&site, packages)).await;
    }
    let two = Site::set(engine, packages, &["A", "B"]);
    if let Some(site) = report.step("pages: two boxes boot", two).await {
        report.step("pages: two boxes, as written", two_boxes(&site, packages)).await;
    }
}

/// `docs/install.md` from a machine with nothing, with the app of the runbook on the same one.
async fn one_box(site: &Site, packages: &Packages) -> Shown<()> {
    let (install, runbook) = (page("docs/install.md"), page("docs/runbook.md"));
    let install = install.blocks_under("Install");
    let (installing, starting) = install.split_at(editing(&install));
    let app = runbook.blocks_under("1. Run the app");
    let single = runbook.blocks_under("Single-box");
    let settings = single.iter().position(|block| block.text.contains("TERARCHITECT_API_URL="));
    let settings = settings.expect("settings under Single-box");

    let mut swaps = site.swaps(packages);
    swaps.extend([
        // Built before, and not as a release.
        swap("packaging/build-setup", ":"),
        swap("cargo build --release --locked -p app", ":"),
    ]);
    let mut walk = Walk::new(&site.boxes, swaps);
    walk.follow(installing).await;
    walk.go_to(&format!("~/{CLONE}")).await;
    walk.follow(&app).await;
    walk.follow(&single[..settings]).await;
    walk.will_type(&single[settings]).await;
    walk.follow(starting).await;
    walk.follow(&single[settings + 1..]).await;
    site.delivered(walk).await
}

/// The runbook's two boxes.
async fn two_boxes(site: &Site, packages: &Packages) -> Shown<()> {
    let (install, runbook) = (page("docs/install.md"), page("docs/runbook.md"));
    let install = install.blocks_under("Install");
    let (installing, _) = install.split_at(editing(&install));
    let blocks = runbook.blocks_under("Two-box");
    let first_on_b = blocks.iter().position(|block| block.before.contains("**On B**"));
    let first_on_b = first_on_b.expect("something to do on B");
    let said = &blocks[first_on_b].before;
    assert!(said.contains("(install.md#install) says, up to the settings"), "{said}");

    let mut swaps = site.swaps(packages);
    swaps.extend([
        swap("192.0.2.10", address(site.app_box()).await),
        swap("GITHUB_TOKEN=…", format!("GITHUB_TOKEN={}", site.token)),
    ]);
    let mut walk = Walk::new(&site.boxes, swaps);
    walk.go_to(&format!("~/{CLONE}")).await;
    walk.follow(&blocks[..first_on_b]).await;
    walk.go_over("B");
    walk.follow(installing).await;
    walk.follow(&blocks[first_on_b..]).await;
    site.delivered(walk).await
}

impl Site {
    /// Boots machines of these names, with what the pages take for granted.
    async fn set(engine: &Engine, packages: &Packages, names: &[&'static str]) -> Shown<Self> {
        let network = Network::make(engine).await;
        let mut boxes = Vec::new();
        for name in names {
            let machine = Machine::boot_on(engine, &network, name).await;
            move_in(&machine).await;
            boxes.push((*name, machine));
        }
        let folder = TempDir::new().expect("a temporary folder");
        let token = uuid::Uuid::new_v4().simple().to_string();
        let address = SocketAddr::new(network.host_address(), 0);
        let forge = forge(&folder, address, &token).await;
        let site = Self { boxes, forge, token, _folder: folder, _network: network };
        site.furnish(engine, packages).await;
        Shown::with(site, "a clone with the app's program, a token, the package, a way by ssh")
    }

    async fn furnish(&self, engine: &Engine, packages: &Packages) {
        let (app_box, coordinator_box) = (self.app_box(), self.coordinator_box());
        let app = app_box.put(&program("terarchitect-app")).await;
        let token = app_box.write("token-file", self.token.as_bytes()).await;
        let clone = format!("/home/{PERSON}/{CLONE}");
        let built = format!("{clone}/target/release");
        app_box
            .ok(&format!(
                "mkdir -p {built} && mv {app} {built} && mv {token} {clone} && {OWN_HOME}"
            ))
            .await;
        let package = coordinator_box.put(&packages.deb.first).await;
        coordinator_box.ok(&format!("mv {package} /home/{PERSON} && {OWN_HOME}")).await;
        let_in(app_box, coordinator_box).await;
        build_agent_image(engine).await;
        coordinator_box.give_image(AGENT_IMAGE).await;
        // Its coding CLI waits for nobody.
        lay_out_image(coordinator_box, IMAGE_FOLDER, "RUN touch /usr/local/bin/go").await;
    }

    fn app_box(&self) -> &Machine {
        &self.boxes.first().expect("a machine").1
    }

    fn coordinator_box(&self) -> &Machine {
        &self.boxes.last().expect("a machine").1
    }

    /// All that is done otherwise than it is written.
    fn swaps(&self, packages: &Packages) -> Vec<Swap> {
        let package = packages.deb.first.file_name().expect("a file").to_string_lossy();
        vec![
            swap("https://github.com/acme/demo", self.forge.clone_url(&repo_name()).to_string()),
            // The page's version, on the page's processor.
            swap("terarchitect-coordinator_0.1.0-1_amd64.deb", package),
            // This machine is Debian's.
            swap("sudo dnf install", ": for others:"),
            // The package's own Dockerfile takes ten minutes.
            swap(
                "coordinator image build",
                format!("coordinator image build --from {IMAGE_FOLDER}"),
            ),
            // The coding CLI in that image is a script, which no doctor finds well.
            swap("coordinator check", "coordinator check --quick"),
            // A container gives its engine no right to privileged ones.
            swap("WORKER_API_KEY=…", "WORKER_API_KEY=sk-of-the-model\nAGENT_DOCKER_MODE=none"),
        ]
    }

    /// The last line that was typed shows the ticket: at last with its pull request, which the forge has.
    async fn delivered(&self, mut walk: Walk<'_>) -> Shown<()> {
        let ticket = walk.again_until("in_review").await;
        let pulls = self.forge.pulls(&repo_name());
        let [pull] = pulls.as_slice() else { panic!("not one pull request: {pulls:?}") };
        assert!(ticket.contains(&format!("/pull/{}", pull.number)), "{ticket}");
        let typed = walk.end();
        shown(format!("{typed} lines typed; #{} {:?} from {}", pull.number, pull.title, pull.head))
    }
}

fn page(path: &str) -> Page {
    Page::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A forge with one repository.
async fn forge(folder: &TempDir, listen: SocketAddr, token: &str) -> TestForge {
    let token = Token::new(token).expect("a token");
    let root = folder.path().join("forge");
    let options = ForgeOptions { listen, ..ForgeOptions::new(root, token) };
    let forge = TestForge::start(options).await.expect("a forge");
    let source = source_repository(&folder.path().join("source"), &[("README.md", "demo\n")]);
    let created = forge.create_repo(&repo_name(), RepoSource::From(&source)).await;
    created.expect("a repository");
    forge
}

/// The first block with an editor: that of the settings.
fn editing(blocks: &[Block<'_>]) -> usize {
    let found = blocks.iter().position(|block| block.text.contains("sudoedit "));
    found.expect("settings to be edited")
}

fn swap(page: &'static str, here: impl Into<String>) -> Swap {
    Swap { page, here: here.into() }
}

/// The address of a machine, which it has among its hosts.
async fn address(machine: &Machine) -> String {
    machine.ok("getent ahostsv4 $(hostname) | head -n 1 | cut -d' ' -f1").await
}

/// Lets the person on one machine log in to another.
async fn let_in(to: &Machine, from: &Machine) {
    let name = address(to).await;
    let ssh = format!("/home/{PERSON}/.ssh");
    let key = from
        .ok(&format!(
            "install -d -m 700 {ssh} && ssh-keygen -q -t ed25519 -N '' -f {ssh}/id_ed25519 \
             && ssh-keyscan {name} 2>/dev/null >{ssh}/known_hosts && {OWN_HOME} \
             && cat {ssh}/id_ed25519.pub"
        ))
        .await;
    let known = format!("install -d -m 700 {ssh} && echo '{key}' >{ssh}/authorized_keys");
    to.ok(&format!("{known} && {OWN_HOME}")).await;
}
