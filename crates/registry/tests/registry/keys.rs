//! API keys and newcomers: made, revoked, and what a revocation ends.

use reqwest::Method;
use seamesh_proto::signaling::{ClientSignal, Register, RegistrySignal};
use serde_json::json;

use crate::fixture::{Registry, Socket, ok, options, refused, soon};

/// Registers and waits for the peer list: the core knows the socket.
async fn settled(socket: &mut Socket) {
    socket
        .say(&ClientSignal::Register(Register { version: Some(1) }))
        .await;
    let list = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
    socket.hear(list).await;
}

#[tokio::test]
async fn a_made_key_survives_a_restart_and_its_secret_is_nowhere_on_disk() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let data = registry.stop().await;
    for file in std::fs::read_dir(data.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let found = bytes
            .windows(key.len())
            .any(|window| window == key.as_bytes());
        assert!(!found);
    }
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    registry.token(&key).await;
}

#[tokio::test]
async fn revoking_a_key_ends_its_token_its_socket_and_itself() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let token = registry.token(&key).await;
    let mut socket = registry.socket("p1", &key).await;
    settled(&mut socket).await;
    let keys = registry.get("/api/keys", &registry.admin).await;
    let listed = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["peer_id"] == "p1")
        .unwrap();
    assert!(!keys.to_string().contains(&key), "lists show no secrets");

    let path = format!("/api/keys/{}", listed["key_id"].as_str().unwrap());
    ok(registry.request(Method::DELETE, &path, &registry.admin)).await;
    assert_eq!(u16::from(socket.closed().await.code), 1008);
    let with_token = registry
        .bare(Method::GET, "/api/session")
        .bearer_auth(&token);
    assert_eq!(refused(with_token).await.0, 401);
    assert_eq!(
        refused(registry.request(Method::POST, "/api/token", &key))
            .await
            .0,
        401
    );
    assert_eq!(
        refused(registry.request(Method::DELETE, &path, &registry.admin))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn a_revoked_viewers_event_stream_ends() {
    let registry = Registry::start().await;
    let key = registry.key("v1", "viewer").await;
    let stream = registry
        .request(Method::GET, "/api/events", &key)
        .send()
        .await
        .unwrap();
    let keys = registry.get("/api/keys", &registry.admin).await;
    let listed = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["peer_id"] == "v1")
        .unwrap();
    let path = format!("/api/keys/{}", listed["key_id"].as_str().unwrap());
    ok(registry.request(Method::DELETE, &path, &registry.admin)).await;
    soon("the stream ends", stream.bytes()).await.unwrap();
}

#[tokio::test]
async fn the_admins_own_key_is_not_revoked_by_a_slip() {
    let registry = Registry::start().await;
    let request = registry.request(Method::DELETE, "/api/keys/admin", &registry.admin);
    assert_eq!(refused(request).await, (409, "conflict".into()));
    registry.get("/api/keys", &registry.admin).await;
}

#[tokio::test]
async fn nobody_gets_a_key_for_the_registrys_own_name() {
    let registry = Registry::start().await;
    let body = json!({"peer_id": "registry", "role": "agent"});
    let request = registry
        .request(Method::POST, "/api/keys", &registry.admin)
        .json(&body);
    assert_eq!(refused(request).await, (422, "bad_field".into()));
}

#[tokio::test]
async fn a_newcomer_joins_by_invite_and_approval_and_is_out_when_revoked() {
    let registry = Registry::start().await;
    let admin = registry.admin.clone();
    let invite = registry
        .post("/api/pairing/generate-code", &admin, json!({}))
        .await;
    let body = json!({"code": invite["code"], "agent_name": "new"});
    let pair = ok(registry.bare(Method::POST, "/api/pairing/pair").json(&body)).await;
    assert_eq!(pair["status"], "pending_approval");
    let id = pair["id"].as_str().unwrap();
    let approved = registry
        .post(&format!("/api/pairing/{id}/approve"), &admin, json!({}))
        .await;
    let device = approved["device_token"].as_str().unwrap();
    let all = registry.get("/api/pairing/all", &admin).await;
    assert!(!all.to_string().contains(device), "lists show no secrets");

    let with_device = || {
        registry
            .bare(Method::POST, "/api/token")
            .header("x-device-token", device)
    };
    let answer = ok(with_device()).await;
    assert_eq!(
        (&answer["peer_id"], &answer["role"]),
        (&pair["peer_id"], &json!("agent"))
    );
    let (peer, token) = (
        answer["peer_id"].as_str().unwrap(),
        answer["token"].as_str().unwrap(),
    );
    let mut socket = registry
        .socket_with(peer, "/ws", Some(token))
        .await
        .unwrap();
    settled(&mut socket).await;

    registry
        .post(&format!("/api/pairing/{id}/revoke"), &admin, json!({}))
        .await;
    assert_eq!(u16::from(socket.closed().await.code), 1008);
    assert_eq!(refused(with_device()).await.0, 401);
    let with_token = registry
        .bare(Method::GET, "/api/session")
        .bearer_auth(token);
    assert_eq!(refused(with_token).await.0, 401);
}

#[tokio::test]
async fn a_waiting_newcomer_has_no_access_and_guessing_codes_is_limited() {
    let registry = Registry::start().await;
    let guess = || {
        let body = json!({"code": "0000-0000-0000", "agent_name": "x"});
        registry.bare(Method::POST, "/api/pairing/pair").json(&body)
    };
    for _ in 0..5 {
        assert_eq!(refused(guess()).await, (401, "invite_invalid".into()));
    }
    assert_eq!(refused(guess()).await, (429, "rate_limited".into()));
}
