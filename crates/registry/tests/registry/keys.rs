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

#[tokio::test]
async fn a_rotated_key_goes_on_for_its_overlap_and_the_new_one_from_the_start() {
    let registry = Registry::start().await;
    let old = registry.key("p1", "agent").await;
    let listed = |keys: serde_json::Value| {
        let keys = keys.as_array().unwrap().clone();
        keys.into_iter()
            .filter(|k| k["peer_id"] == "p1")
            .collect::<Vec<_>>()
    };
    let before = listed(registry.get("/api/keys", &registry.admin).await);
    let path = format!("/api/keys/{}/rotate", before[0]["key_id"].as_str().unwrap());
    let made = registry
        .post(&path, &registry.admin, json!({"overlap_s": 3600}))
        .await;
    let new = made["api_key"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    registry.token(&old).await;
    registry.token(&new).await;
    let both = listed(registry.get("/api/keys", &registry.admin).await);
    assert_eq!(both.len(), 2);
    let ends = both.iter().filter_map(|k| k["expires_ms"].as_u64());
    assert_eq!(ends.count(), 1, "the old one's");
    let again = registry.request(Method::POST, &path, &registry.admin);
    let again = refused(again.json(&json!({}))).await;
    assert_eq!(
        again,
        (409, "conflict".into()),
        "it is on its way out already"
    );

    let data = registry.stop().await;
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    registry.token(&old).await;
    registry.token(&new).await;
    let long = registry.request(Method::POST, &path, &registry.admin);
    let long = refused(long.json(&json!({"overlap_s": 2_592_001}))).await;
    assert_eq!(long, (422, "bad_field".into()));
}

#[tokio::test]
async fn at_the_end_of_the_overlap_the_old_key_its_tokens_and_its_sessions_are_over_and_the_socket_stays()
 {
    let registry = Registry::start().await;
    let old = registry.key("p1", "agent").await;
    let token = registry.token(&old).await;
    let mut socket = registry.socket("p1", &old).await;
    settled(&mut socket).await;
    let stream = registry.request(Method::GET, "/api/keys", &registry.admin);
    let keys = ok(stream).await;
    let id = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["peer_id"] == "p1");
    let path = format!(
        "/api/keys/{}/rotate",
        id.unwrap()["key_id"].as_str().unwrap()
    );
    let made = registry
        .post(&path, &registry.admin, json!({"overlap_s": 0}))
        .await;
    let with_token = registry
        .bare(Method::GET, "/api/session")
        .bearer_auth(&token);
    assert_eq!(refused(with_token).await.0, 401);
    let with_key = registry.request(Method::POST, "/api/token", &old);
    assert_eq!(refused(with_key).await.0, 401);
    registry.token(made["api_key"].as_str().unwrap()).await;
    let gone = async {
        loop {
            let keys = registry.get("/api/keys", &registry.admin).await;
            let of_peer = keys
                .as_array()
                .unwrap()
                .iter()
                .filter(|k| k["peer_id"] == "p1");
            if of_peer.count() == 1 {
                break;
            }
        }
    };
    soon("the old key leaves the list", gone).await;
    // The peer is still let in: what it has open stays open.
    settled(&mut socket).await;
    let audit = registry.get("/api/audit", &registry.admin).await;
    assert!(audit.to_string().contains("key_ended"), "{audit}");
}

#[tokio::test]
async fn a_rotated_signing_key_leaves_tokens_good_and_signs_the_next_ones() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let before = registry.token(&key).await;
    let file = registry.data.path().join("data/token.key");
    let secret = std::fs::read_to_string(&file).unwrap();
    ok(registry.request(Method::POST, "/api/keys/signing", &registry.admin)).await;
    assert_ne!(std::fs::read_to_string(&file).unwrap(), secret);
    let after = registry.token(&key).await;
    for token in [&before, &after] {
        ok(registry
            .bare(Method::GET, "/api/session")
            .bearer_auth(token))
        .await;
    }
    let data = registry.stop().await;
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    ok(registry
        .bare(Method::GET, "/api/session")
        .bearer_auth(&after))
    .await;
}

#[tokio::test]
async fn a_key_that_left_the_key_file_is_revoked_when_it_is_read_again() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("api_keys.json");
    let entry = |peer: &str, role: &str| json!({"peer_id": peer, "role": role});
    let write = |keys: serde_json::Value| {
        std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
    };
    write(
        json!({"ak_stays": entry("p1", "agent"), "ak_goes": entry("p2", "agent"),
        "ak_falls": entry("p3", "admin")}),
    );
    let mut chosen = options(data.path());
    chosen.api_keys = Some(file.clone());
    let registry = Registry::over(data, chosen).await;
    let mut goes = registry.socket("p2", "ak_goes").await;
    settled(&mut goes).await;
    let falls = registry.token("ak_falls").await;

    let reload = || registry.request(Method::POST, "/api/keys/reload", &registry.admin);
    std::fs::write(&file, "{\"keys\": ").unwrap();
    assert_eq!(refused(reload()).await, (409, "conflict".into()));
    registry.token("ak_goes").await;

    write(
        json!({"ak_stays": entry("p1", "agent"), "ak_falls": entry("p3", "viewer"),
        "ak_comes": entry("p4", "agent")}),
    );
    let change = ok(reload()).await;
    assert_eq!(change["added"].as_array().unwrap().len(), 2, "{change}");
    assert_eq!(change["revoked"].as_array().unwrap().len(), 2, "{change}");
    assert_eq!(u16::from(goes.closed().await.code), 1008);
    let gone = registry.request(Method::POST, "/api/token", "ak_goes");
    assert_eq!(refused(gone).await.0, 401);
    let fallen = registry.bare(Method::GET, "/api/audit").bearer_auth(&falls);
    assert_eq!(refused(fallen).await.0, 401, "its token was an admin's");
    for key in ["ak_stays", "ak_comes", "ak_falls"] {
        registry.token(key).await;
    }
    let nothing = ok(reload()).await;
    assert_eq!(nothing, json!({"added": [], "revoked": []}));
}
