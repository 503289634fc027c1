//! Set-ups that are broken in proxies or certificates.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use integration_tests::harness::{CertificateAuthority, InterceptingProxy, Login, TlsFront};

use super::NOBODY;
use crate::check_scene::{CheckScene, failed};

#[tokio::test]
async fn a_proxy_that_does_not_answer() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("HTTP_PROXY", NOBODY);
    scene.assert_broken("HTTP_PROXY", "NO_PROXY").await;
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_hides_nothing_that_is_not_behind_it() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("HTTPS_PROXY", NOBODY).set("TERARCHITECT_API_URL", NOBODY);
    let (code, findings) = scene.check().await;
    assert_eq!((code, failed(&findings)), (Some(1), vec!["HTTPS_PROXY", "app"]));
}

#[tokio::test]
async fn a_proxy_named_by_host_and_port_alone_is_healthy() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let proxy = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = proxy.local_addr().unwrap().port();
    scene.home.set("HTTPS_PROXY", &format!("localhost:{port}"));
    scene.assert_healthy().await;
}

#[tokio::test]
async fn a_proxy_that_containers_alone_do_not_reach() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("AGENT_HTTPS_PROXY", NOBODY);
    scene.assert_broken("proxies and CA in containers", "AGENT_HTTPS_PROXY").await;
}

#[tokio::test]
async fn a_ca_that_nobody_was_told_of() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let authority = CertificateAuthority::new("Test Authority");
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let front = TlsFront::start(here, scene.app.port(), &authority, None).await;
    scene.home.set("TERARCHITECT_API_URL", &front.url());
    scene.assert_broken("app", "set EXTRA_CA_FILE").await;

    // And one that is another than that.
    let other = CertificateAuthority::new("Another Authority");
    let bundle = scene.folder().join("ca.pem");
    fs::write(&bundle, other.pem()).unwrap();
    scene.home.set("EXTRA_CA_FILE", bundle.to_str().unwrap());
    scene.assert_broken("app", "set EXTRA_CA_FILE").await;
}

#[tokio::test]
async fn a_ca_that_is_not_there_or_has_expired() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let bundle = scene.folder().join("ca.pem");
    scene.home.set("EXTRA_CA_FILE", bundle.to_str().unwrap());
    let (code, printed) = scene.home.command(&["check", "--quick"]).await;
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("EXTRA_CA_FILE"), "{printed}");

    fs::write(&bundle, CertificateAuthority::expired("Old Authority").pem()).unwrap();
    scene.assert_broken("EXTRA_CA_FILE", "present certificate").await;
}

#[tokio::test]
async fn a_proxy_that_takes_tls_apart_by_a_ca_that_is_not_known() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let authority = CertificateAuthority::new("Corp Authority");
    let login = Login { user: "me".to_owned(), password: "proxy-p4ss".to_owned() };
    let app = (Ipv4Addr::LOCALHOST, scene.app.port()).into();
    let hosts = BTreeMap::from([("app.corp.example".to_owned(), app)]);
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let proxy = InterceptingProxy::start(everywhere, login, &authority, hosts).await;
    let url = proxy.url().replace("0.0.0.0", "127.0.0.1");
    scene.home.set("HTTPS_PROXY", &url).set("TERARCHITECT_API_URL", "https://app.corp.example");
    scene.assert_broken("app", "set EXTRA_CA_FILE").await;

    let bundle = scene.folder().join("ca.pem");
    fs::write(&bundle, authority.pem()).unwrap();
    scene.home.set("EXTRA_CA_FILE", bundle.to_str().unwrap());
    scene.assert_healthy().await;
}
