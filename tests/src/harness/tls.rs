//! A certificate authority that nobody knows, and a server that speaks TLS in front of one that does not.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};
use tokio_util::task::AbortOnDropHandle;

/// An authority with a key of its own.
#[derive(Debug)]
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A client's certificate and its key, as files.
#[derive(Debug)]
pub struct ClientFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// A part of the key's text that must be nowhere else.
    pub secret: String,
}

/// A server that takes TLS and passes on what is in it.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

struct Pair {
    certificate: String,
    key: String,
}

impl CertificateAuthority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        Self::of(name, CertificateParams::default())
    }

    /// One whose own certificate has expired.
    pub fn expired(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        Self::of(name, params)
    }

    fn of(name: &str, mut params: CertificateParams) -> Self {
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a client, and its key, in files of this folder.
    pub fn client_files(&self, folder: &Path) -> ClientFiles {
        let pair = self.pair("client", &[], ExtendedKeyUsagePurpose::ClientAuth);
        let (certificate, key) = (folder.join("client.crt"), folder.join("client.key"));
        std::fs::write(&certificate, pair.certificate).expect("a file in a folder of ours");
        super::deployment::write_private(&key, &pair.key);
        let secret = pair.key.lines().nth(1).expect("more than one line").to_owned();
        ClientFiles { certificate, key, secret }
    }

    /// What a server of these names or addresses shows; where `clients` is given, it wants a certificate
    /// of theirs.
    pub(super) fn acceptor(&self, names: &[String], clients: Option<&Self>) -> TlsAcceptor {
        let pair = self.pair("server", names, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("usual versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(der(&clients.pem)).expect("a certificate of ours");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key of ours");
        let config = builder.with_single_cert(vec![der(&pair.certificate)], key);
        TlsAcceptor::from(Arc::new(config.expect("key and certificate of ours")))
    }

    fn pair(&self, name: &str, names: &[String], usage: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = CertificateParams::new(names).expect("plain names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

impl TlsFront {
    /// Listens at this address for what listens on a port of the loopback address. `clients` as with
    /// [`CertificateAuthority`].
    pub async fn start(
        address: IpAddr,
        port: u16,
        authority: &CertificateAuthority,
        clients: Option<&CertificateAuthority>,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let names = [address.to_string(), "localhost".to_owned()];
        let acceptor = authority.acceptor(&names, clients);
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // One that is refused is the client's to tell of.
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    let _broken = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, _task: AbortOnDropHandle::new(task) }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate of ours")
}
