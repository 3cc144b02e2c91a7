use serde_json::json;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::signer::TokenProblem;
use super::*;

fn pki() -> (tempfile::TempDir, Pki) {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::create(dir.path()).unwrap();
    (dir, pki)
}

fn der(pem: &str) -> CertificateDer<'static> {
    certificate_der(pem, "test").unwrap()
}

#[test]
fn keys_are_made_once_and_loaded_again() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, pki) = pki();
    assert_eq!(Pki::create(dir.path()).unwrap().ca_pem(), pki.ca_pem());
    assert_eq!(Pki::load(dir.path()).unwrap().ca_hash(), pki.ca_hash());
    let mode = std::fs::metadata(dir.path().join("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(dir.path().join("sa.key")).unwrap();
    assert!(matches!(Pki::load(dir.path()), Err(PkiError::File { .. })));
}

#[test]
fn certificates_say_who_and_what_for() {
    let (_dir, pki) = pki();
    let client = pki.issue_client("system:node:n1", &["system:nodes"]).unwrap();
    let user = crate::authn::user_of_certificate(&der(&client.cert_pem)).unwrap();
    assert_eq!(user, crate::identity::User::new("system:node:n1", &["system:nodes"]));
    assert!(matches!(pki.issue_client("x", &["a", "b"]), Err(PkiError::Groups(2))));
    let bytes = der(&client.cert_pem);
    let (_, parsed) = X509Certificate::from_der(&bytes).unwrap();
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    let node = pki.issue_node("n1", &["10.0.0.7".parse().unwrap()]).unwrap();
    let bytes = der(&node.serving.cert_pem);
    let (_, parsed) = X509Certificate::from_der(&bytes).unwrap();
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    let names = &parsed.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert!(names.contains(&GeneralName::DNSName("n1")));
    assert!(names.contains(&GeneralName::IPAddress(&[10, 0, 0, 7])));
    let ca = der(pki.ca_pem());
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    assert!(parsed.verify_signature(Some(ca.public_key())).is_ok());
}

#[test]
fn peers_have_a_ca_of_their_own() {
    let (_dir, pki) = pki();
    let peer = pki.issue_peer("p", "peer.trireme.internal").unwrap();
    let (peer, ca) = (der(&peer.cert_pem), der(pki.ca_pem()));
    let (_, peer) = X509Certificate::from_der(&peer).unwrap();
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    assert!(peer.verify_signature(Some(ca.public_key())).is_err());
    pki.peer_tls("p").unwrap();
}

#[test]
fn a_request_gets_only_what_we_say() {
    let (_dir, pki) = pki();
    let (request, _key) = issue::new_request("system:masters").unwrap();
    let signed = pki.sign_request(&request, "system:node:n2", &["system:nodes"], None).unwrap();
    let user = crate::authn::user_of_certificate(&der(&signed)).unwrap();
    assert_eq!(user.name, "system:node:n2");
    assert!(pki.sign_request("nonsense", "x", &[], None).is_err());
}

#[test]
fn tokens_verify_only_as_they_were_signed() {
    let ((_a, pki), (_b, other)) = (pki(), pki());
    let token = pki.signer().sign(&json!({"sub": "x"})).unwrap();
    assert_eq!(pki.signer().verify(&token).unwrap()["sub"], "x");
    assert_eq!(other.signer().verify(&token), Err(TokenProblem::ForeignKey));
    let mut parts: Vec<&str> = token.split('.').collect();
    let forged = other.signer().sign(&json!({"sub": "y"})).unwrap();
    parts[1] = forged.split('.').nth(1).unwrap();
    assert_eq!(pki.signer().verify(&parts.join(".")), Err(TokenProblem::BadSignature));
    assert_eq!(pki.signer().verify("a.b"), Err(TokenProblem::Malformed));
    let set = pki.signer().key_set();
    assert_eq!(set["keys"][0]["crv"], "P-256");
}

#[test]
fn join_tokens_read_as_they_are_written() {
    let (_dir, pki) = pki();
    let token = JoinToken::generate(&pki);
    let text = token.to_string();
    assert_eq!(text.parse::<JoinToken>().unwrap(), token);
    for bad in [
        "",
        "T1",
        "T1ab::abcdef.0123456789abcdef",
        &text[..text.len() - 1],
        &text.replace("::", ":"),
        &text.to_uppercase(),
    ] {
        assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
    }
    let secret = token.secret_object(JoinRole::Server, Some(std::time::Duration::from_secs(60)));
    assert_eq!(secret["metadata"]["name"], format!("bootstrap-token-{}", token.id));
    assert!(secret["data"]["expiration"].is_string());
}

#[test]
fn the_kubeconfig_holds_the_admin() {
    let (_dir, pki) = pki();
    let text = pki.admin_kubeconfig("https://127.0.0.1:6443").unwrap();
    assert!(text.contains("server: https://127.0.0.1:6443"));
    assert!(text.contains("kubernetes-admin@trireme"));
}
