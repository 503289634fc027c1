//! The ways around the gateway, each of them closed.

use crate::scene::{HOST, Scene, Server, addresses_of_host};

/// Prints `reached` and the address for each that takes a connection.
const TRY: &str =
    "reach() { timeout 4 bash -c \"exec 3<>/dev/tcp/$1/$2\" 2>/dev/null && echo reached $1 $2; }
";

#[tokio::test]
async fn without_the_gateway_neither_this_host_nor_metadata_nor_the_world_is_reached() {
    let server = Server::start("a service of this host").await;
    let Some(scene) = Scene::new(&[("AGENT_EGRESS", "none")]).await else { return };
    let port = server.port;
    let mut script = TRY.to_owned();
    let mut addresses = addresses_of_host().await;
    assert!(addresses.len() > 1, "{addresses:?}");
    addresses.push(scene.address_of_host().parse().unwrap());
    for address in &addresses {
        script.push_str(&format!("reach {address} {port} &\n"));
    }
    for address in scene.ipv6_addresses_of_host() {
        script.push_str(&format!("reach {address}%eth0 {port} &\n"));
    }
    script.push_str(&format!(
        "reach 169.254.169.254 80 & reach 1.1.1.1 443 & reach {HOST} {port} &
        wait; reach {} 3128; cat /proc/net/if_inet6",
        scene.address()
    ));
    let said = scene.shell(&script).await;
    // The gateway's own proxy shows that the others could have been seen, and there is no IPv6.
    assert_eq!(said.trim(), format!("reached {} 3128", scene.address()));
}

#[tokio::test]
async fn the_network_of_another_job_is_not_reached_directly_or_through_a_gateway() {
    let document = [("AGENT_EGRESS", "none")];
    let Some(scene) = Scene::new(&document).await else { return };
    let Some(neighbour) = Scene::new(&document).await else { return };
    let (inside, outside) = (neighbour.address(), neighbour.address_outside());
    let script = format!(
        "{TRY} reach {inside} 3128 & reach {outside} 3128 & wait
        curl -s -m 9 http://{inside}:3128/; curl -s -m 9 -p http://{outside}:3128/ || echo no tunnel"
    );
    let said = scene.shell(&script).await;
    assert!(!said.contains("reached"), "{said}");
    assert!(said.contains(&format!("{inside}:3128: not allowed")), "{said}");
    assert!(said.contains("no tunnel"), "{said}");
}
