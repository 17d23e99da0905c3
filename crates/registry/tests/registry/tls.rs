//! TLS of the registry itself: HTTP and WebSocket over it, by fingerprint and by authority, and who is not trusted.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::SET_COOKIE;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use seamesh_client::{ClientError, Credential, Fingerprint, Incoming, SignalSocket, Trust};
use seamesh_proto::ledger::Party;
use seamesh_proto::rest::{KeyBody, Role};
use seamesh_proto::signaling::{ClientSignal, Register, SignalFrame};
use seamesh_registry::{RunError, TlsSettings};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{Registry, options, soon};

async fn self_made() -> Registry {
    Registry::with(|options| options.tls = Some(TlsSettings::SelfMade)).await
}

fn pin(registry: &Registry) -> Trust {
    Trust {
        fingerprint: Some(registry.fingerprint.as_ref().unwrap().parse().unwrap()),
        ca_file: None,
    }
}

fn client(registry: &Registry, trust: &Trust, credential: Credential) -> seamesh_client::Registry {
    let url = registry.url.parse().unwrap();
    seamesh_client::Registry::trusting(trust, Party::Cli, url, credential).unwrap()
}

fn admin(registry: &Registry, trust: &Trust) -> seamesh_client::Registry {
    client(registry, trust, Credential::ApiKey(registry.admin.clone()))
}

/// Everything a sidecar does at its beginning: a key is made, changed into a token, and a socket opened with it.
async fn goes_all_the_way(registry: &Registry, trust: &Trust, peer: &str) {
    let body = KeyBody {
        peer_id: peer.parse().unwrap(),
        role: Role::Agent,
    };
    let key = admin(registry, trust).create_key(&body).await.unwrap();
    let sidecar = client(registry, trust, Credential::ApiKey(key.api_key));
    let token = sidecar.token().await.unwrap().token;
    let socket = SignalSocket::connect(&sidecar, &token).await.unwrap();
    let (mut sender, mut receiver) = socket.split();
    let register = ClientSignal::Register(Register { version: Some(1) });
    let frame = SignalFrame::from_client(body.peer_id, None, &register);
    sender.send(&frame).await.unwrap();
    let answer = soon("the peer list", receiver.next()).await.unwrap();
    let Some(Incoming::Frame(frame)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(frame.kind, "peer_list");
}

fn distrusted(error: ClientError) -> String {
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
    assert!(error.next_step().contains("--registry-fingerprint"));
    error.to_string()
}

#[tokio::test]
async fn https_and_wss_work_by_fingerprint_and_by_authority_and_go_on_after_a_restart() {
    let registry = self_made().await;
    assert!(registry.url.starts_with("https://"), "{}", registry.url);
    goes_all_the_way(&registry, &pin(&registry), "p1").await;
    let certificate = registry.data.path().join("data/tls.crt");
    let by_authority = Trust {
        fingerprint: None,
        ca_file: Some(certificate.clone()),
    };
    goes_all_the_way(&registry, &by_authority, "p2").await;
    let key = registry.data.path().join("data/tls.key");
    let mode = std::fs::metadata(key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let before = registry.fingerprint.clone();
    let data = registry.stop().await;
    let mut chosen = options(data.path());
    chosen.tls = Some(TlsSettings::SelfMade);
    let registry = Registry::over(data, chosen).await;
    assert_eq!(registry.fingerprint, before);
    goes_all_the_way(&registry, &pin(&registry), "p3").await;
}

#[tokio::test]
async fn a_wrong_fingerprint_and_an_unknown_authority_are_refused_before_anything_is_said() {
    let registry = self_made().await;
    let other = self_made().await;
    let wrong = admin(&registry, &pin(&other));
    let text = distrusted(wrong.agents().await.unwrap_err());
    for fingerprint in [&registry.fingerprint, &other.fingerprint] {
        assert!(text.contains(fingerprint.as_ref().unwrap()), "{text}");
    }
    let socket = SignalSocket::connect(&wrong, "token").await.err().unwrap();
    distrusted(socket);
    let machine = admin(&registry, &Trust::default());
    let text = distrusted(machine.agents().await.unwrap_err());
    assert!(text.contains("not trusted here"), "{text}");
    let others = Trust {
        fingerprint: None,
        ca_file: Some(other.data.path().join("data/tls.crt")),
    };
    distrusted(admin(&registry, &others).agents().await.unwrap_err());
}

#[test]
fn a_file_without_authorities_is_told_before_any_connection() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, "no certificate\n").unwrap();
    for path in [file, directory.path().join("missing.pem")] {
        let trust = Trust {
            fingerprint: None,
            ca_file: Some(path),
        };
        let url = "https://127.0.0.1:1".parse().unwrap();
        let made = seamesh_client::Registry::trusting(&trust, Party::Cli, url, Credential::None);
        let text = made.unwrap_err().to_string();
        assert!(text.contains(".pem"), "{text}");
    }
}

fn tls_config(certificate: &Path) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn over_tls_the_session_cookie_is_secure() {
    let registry = self_made().await;
    let config = tls_config(&registry.data.path().join("data/tls.crt"));
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(config)
        .build()
        .unwrap();
    let login = http.request(Method::POST, format!("{}/api/session", registry.url));
    let login = login.json(&json!({ "api_key": registry.admin }));
    let answer = login.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    for attribute in ["; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_served_and_one_without_its_key_stops_the_start() {
    let (one, other) = (self_made().await, self_made().await);
    let file = |registry: &Registry, name: &str| registry.data.path().join("data").join(name);
    let files = |key: &Registry| TlsSettings::Files {
        certificate: file(&one, "tls.crt"),
        key: file(key, "tls.key"),
    };
    let own = Registry::with(|options| options.tls = Some(files(&one))).await;
    assert_eq!(own.fingerprint, one.fingerprint);
    goes_all_the_way(&own, &pin(&one), "p1").await;

    let data = tempfile::tempdir().unwrap();
    let mut chosen = options(data.path());
    chosen.tls = Some(files(&other));
    let never = |_: &_| panic!("it must not serve");
    let error = seamesh_registry::run(chosen, never, std::future::pending()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, RunError::Tls(_)), "{error}");
    let certificate = CertificateDer::from_pem_file(file(&one, "tls.crt")).unwrap();
    let fingerprint = Fingerprint::of(&certificate).to_string();
    assert_eq!(Some(fingerprint), one.fingerprint);
}

#[tokio::test]
async fn clients_that_speak_no_tls_or_nothing_at_all_hold_nobody_up() {
    let registry = self_made().await;
    let address = registry.url.trim_start_matches("https://").to_owned();
    let _silent = TcpStream::connect(&address).await.unwrap();
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    drop(soon("the connection ends", plain.read_to_end(&mut answer)).await);
    assert!(!answer.starts_with(b"HTTP/"), "no answer in clear");
    let trust = Arc::new(pin(&registry));
    goes_all_the_way(&registry, &trust, "p1").await;
}
