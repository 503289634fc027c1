use super::*;

/// Made with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500`.
const CERTIFICATE: &str = include_str!("../../../tests/testdata/client.crt");
const KEY: &str = include_str!("../../../tests/testdata/client.key");
const OTHER_KEY: &str = include_str!("../../../tests/testdata/other.key");

#[test]
fn a_bundle_is_every_certificate_in_it() {
    let bundle = format!("# ours\n{CERTIFICATE}\nand again\n{CERTIFICATE}");
    let roots = ExtraRoots::from_pem(&bundle).unwrap();
    assert_eq!((roots.count(), roots.pem()), (2, bundle.as_str()));
}

#[test]
fn what_is_wrong_with_a_bundle_is_said_by_the_number_of_the_certificate() {
    let cut = format!("{CERTIFICATE}{}", &CERTIFICATE[..200]);
    let other = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (text, part) in [
        (String::new(), "holds no certificate"),
        ("hello".to_owned(), "holds no certificate"),
        (format!("{CERTIFICATE}{KEY}"), "holds a private key beside the certificates"),
        (cut, "number 2, that cannot be read"),
        (format!("{CERTIFICATE}{other}"), "number 2, that cannot be read"),
        (CERTIFICATE.replace("MII", "M!I"), "number 1, that cannot be read"),
        (" ".repeat(PEM_MAX + 1), "more than 2 MiB"),
    ] {
        let error = ExtraRoots::from_pem(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_key_must_be_that_of_the_certificate() {
    let key = Secret::from(KEY);
    let identity = ClientIdentity::new(CERTIFICATE, &key).unwrap();
    assert_eq!((identity.certificate(), identity.key()), (CERTIFICATE, &key));
    let other = ClientIdentity::new(CERTIFICATE, &Secret::from(OTHER_KEY)).unwrap_err();
    assert!(matches!(other, PemError::Key { .. }), "{other}");
    let none = ClientIdentity::new(CERTIFICATE, &Secret::from(CERTIFICATE)).unwrap_err();
    assert_eq!(none, PemError::NoKey);
    assert_eq!(ClientIdentity::new(KEY, &key).unwrap_err(), PemError::PrivateKey);
}

#[test]
fn of_a_key_s_text_the_key_alone_is_kept() {
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let both = Secret::from(format!("{parameters}# mine\n{KEY}{CERTIFICATE}{OTHER_KEY}"));
    let identity = ClientIdentity::new(CERTIFICATE, &both).unwrap();
    assert_eq!(identity.key(), &Secret::from(KEY));
    let cut = Secret::from(&KEY[..KEY.len() - 10]);
    assert_eq!(ClientIdentity::new(CERTIFICATE, &cut).unwrap_err(), PemError::NoKey);
}

#[test]
fn an_identity_shows_nothing_of_itself() {
    let identity = ClientIdentity::new(CERTIFICATE, &Secret::from(KEY)).unwrap();
    assert_eq!(format!("{identity:?}"), "ClientIdentity { .. }");
}

#[test]
fn a_client_can_be_made_of_both() {
    let network = crate::http::Network {
        roots: Some(ExtraRoots::from_pem(CERTIFICATE).unwrap()),
        identity: Some(ClientIdentity::new(CERTIFICATE, &Secret::from(KEY)).unwrap()),
        ..Default::default()
    };
    network.client("test").unwrap().build().unwrap();
}
