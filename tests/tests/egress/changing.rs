//! A listed name whose owner gives it other addresses: private ones, in turns or among others.

use integration_tests::harness::{Engine, cli_image, eventually};
use uuid::Uuid;

use crate::scene::{Scene, docker, done, text};

/// Where the networks of the owners of names are: addresses that count as public.
const PUBLIC: &str = "198.51.100";

/// Answers questions about names, and requests for pages with a word for the address at which they
/// came. `turns.example` has a public and a private address in turns, `both.example` has both at once,
/// `metadata.example` that of the metadata.
const OWNER: &str = r#"
const [prefix] = process.argv.slice(1);
const own = () => Object.values(require('os').networkInterfaces()).flat()
    .filter(it => it.family === 'IPv4' && !it.internal).map(it => it.address)
    .sort(address => address.startsWith(prefix) ? -1 : 1);
let turn = 0;
const addresses = name =>
    name.startsWith('metadata') ? ['169.254.169.254'] :
    name.startsWith('both') ? own().reverse() : [own()[turn++ % 2]];
const names = require('dgram').createSocket('udp4');
names.on('message', (question, from) => {
    let end = 12;
    while (question[end]) end += question[end] + 1;
    const kind = question.readUInt16BE(end + 1);
    const found = kind === 1 ? addresses(question.toString('latin1', 13, end)) : [];
    const records = found.map(address => Buffer.from(
        [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]));
    const head = Buffer.from(question.subarray(0, 12));
    head.set([0x81, 0x80, 0, 1, 0, found.length, 0, 0, 0, 0], 2);
    const answer = Buffer.concat([head, question.subarray(12, end + 5), ...records]);
    names.send(answer, from.port, from.address);
});
names.bind(53, () => require('http').createServer((request, answer) =>
    answer.end(request.socket.localAddress.includes(prefix) ? 'open\n' : 'secret\n')
).listen(80, () => console.log('ready')));
"#;

/// Whoever owns the names: a name server and a server of pages, on a network that counts as public and
/// on one that does not.
struct Owner {
    network: String,
    container: String,
}

impl Owner {
    async fn new(image: &str) -> Self {
        let id = Uuid::new_v4();
        let owner = Self {
            network: format!("terarchitect-test-public-{id}"),
            container: format!("terarchitect-test-owner-{id}"),
        };
        let subnet = format!("{PUBLIC}.{}/28", u32::from(id.as_bytes()[0] % 16) * 16);
        done(&["network", "create", "--subnet", &subnet, &owner.network]);
        let node = ["--entrypoint", "node", image, "-e", OWNER, PUBLIC];
        let create = ["create", "--name", &owner.container, "--network", &owner.network];
        done(&[&create[..], &node].concat());
        done(&["network", "connect", "bridge", &owner.container]);
        done(&["start", &owner.container]);
        eventually("an owner of names", async || {
            text(&docker(&["logs", &owner.container])).contains("ready").then_some(())
        })
        .await;
        owner
    }

    fn private_address(&self) -> String {
        let form = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
        text(&done(&["container", "inspect", "--format", form, &self.container]))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        docker(&["rm", "--force", &self.container]);
        docker(&["network", "rm", &self.network]);
    }
}

#[tokio::test]
async fn a_listed_name_leads_to_no_private_address_whatever_its_owner_answers() {
    let Some(engine) = Engine::or_skip().await else { return };
    let Some(image) = cli_image(&engine).await else { return };
    let owner = Owner::new(image).await;
    let secret = owner.private_address();
    let document = [
        ("AGENT_EGRESS", "allowlist"),
        ("AGENT_EGRESS_ALLOW", ".example"),
        ("AGENT_EGRESS_TRUSTED", "metadata.example:80"),
    ];
    let Some(scene) = Scene::with_options(&document, &["--dns", &secret]).await else { return };
    scene.connect(&owner.network);
    let said = scene
        .shell(
            "ask() { curl --silent --show-error --max-time 10 \"$@\" 2>&1; }
            for n in 1 2 3 4 5 6; do ask http://turns.example/; done
            for n in 1 2 3; do ask --proxytunnel http://both.example/; done
            ask http://metadata.example/
            getent hosts both.example | sed 's/ .*/ is told/'",
        )
        .await;
    // Each request is one look at the name, so that the address in turn is what is judged.
    assert_eq!(said.matches("open\n").count(), 6, "{said}");
    assert!(!said.contains("secret\n"), "{said}");
    let refused = format!("turns.example:80: its address {secret} is not a public one");
    assert_eq!(said.matches(&refused).count(), 3, "{said}");
    assert!(said.contains("169.254.169.254 is not a public one"), "{said}");
    // Nor does the name server tell an address that may not be connected to.
    let told: Vec<_> = said.lines().filter(|line| line.ends_with(" is told")).collect();
    assert!(told.len() == 1 && told[0].starts_with(PUBLIC), "{said}");
}
