//! Tokens, sessions, login links.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use ring::hmac;
use serde_json::{Value, json};

use crate::fixture::{Registry, ok, options, problem, refused};

fn now_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// A token made here, apart from the registry's own code.
fn forge(secret: &str, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

async fn status_with(registry: &Registry, token: &str) -> u16 {
    let request = registry
        .bare(Method::GET, "/api/session")
        .bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_fresh_token_is_accepted_and_names_its_peer() {
    let registry = Registry::start().await;
    let key = registry.key("agent-1", "agent").await;
    let token = registry.token(&key).await;
    let who = ok(registry
        .bare(Method::GET, "/api/session")
        .bearer_auth(&token))
    .await;
    assert_eq!(who, json!({"peer_id": "agent-1", "role": "agent"}));
}

#[tokio::test]
async fn expired_foreign_and_unsigned_tokens_are_refused() {
    let registry = Registry::start().await;
    registry.key("agent-1", "agent").await;
    let secret = std::fs::read_to_string(registry.data.path().join("data/token.key")).unwrap();
    let secret = secret.trim_end();
    let hs256 = json!({"typ": "JWT", "alg": "HS256"});
    let claims =
        |iat: u64| json!({"sub": "agent-1", "role": "agent", "iat": iat, "exp": iat + 300});
    let now = now_s();
    let good = forge(secret, &hs256, &claims(now));
    assert_eq!(
        status_with(&registry, &good).await,
        200,
        "the check below would prove nothing"
    );
    assert_eq!(
        status_with(&registry, &forge(secret, &hs256, &claims(now - 400))).await,
        401
    );
    let other = "another secret of at least thirty-two bytes";
    assert_eq!(
        status_with(&registry, &forge(other, &hs256, &claims(now))).await,
        401
    );
    assert_eq!(
        status_with(
            &registry,
            &forge(secret, &json!({"alg": "none"}), &claims(now))
        )
        .await,
        401
    );
    assert_eq!(status_with(&registry, "not a token").await, 401);
    let mut stranger = claims(now);
    stranger["sub"] = json!("nobody");
    assert_eq!(
        status_with(&registry, &forge(secret, &hs256, &stranger)).await,
        401
    );
}

#[tokio::test]
async fn an_unknown_key_gets_no_token() {
    let registry = Registry::start().await;
    let request = registry.request(Method::POST, "/api/token", "ak_dev_001");
    assert_eq!(refused(request).await, (401, "unauthorized".into()));
}

#[tokio::test]
async fn keys_of_the_key_file_work_beside_made_ones_and_a_broken_file_stops_the_start() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("api_keys.json");
    std::fs::write(
        &file,
        r#"{"keys": {"ak_old": {"peer_id": "old-1", "role": "agent"}}}"#,
    )
    .unwrap();
    let mut chosen = options(data.path());
    chosen.api_keys = Some(file.clone());
    let registry = Registry::over(data, chosen.clone()).await;
    let answer = ok(registry.request(Method::POST, "/api/token", "ak_old")).await;
    assert_eq!(
        (&answer["peer_id"], &answer["role"]),
        (&json!("old-1"), &json!("agent"))
    );
    let _data = registry.stop().await;

    std::fs::write(&file, "{\"keys\": {\n  \"ak_old\": 7}}").unwrap();
    let error = seamesh_registry::run(
        chosen,
        |_| panic!("it must not serve"),
        std::future::pending(),
    );
    let text = error.await.unwrap_err().to_string();
    assert!(
        text.contains("line 2") && text.contains("api_keys.json"),
        "{text}"
    );
}

async fn login(registry: &Registry, body: Value) -> (String, Value) {
    let response = registry
        .bare(Method::POST, "/api/session")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap().to_owned();
    (pair, response.json().await.unwrap())
}

#[tokio::test]
async fn a_login_link_logs_in_once() {
    let registry = Registry::start().await;
    let link = registry
        .post("/api/session/link", &registry.admin, json!({}))
        .await;
    let code = link["path"]
        .as_str()
        .unwrap()
        .strip_prefix("/#login=")
        .unwrap();
    let (cookie, who) = login(&registry, json!({"code": code})).await;
    assert_eq!(who["role"], "admin");
    let state = registry
        .bare(Method::GET, "/api/hub/state")
        .header(COOKIE, &cookie);
    assert!(ok(state).await["agents"].is_array());
    let again = registry
        .bare(Method::POST, "/api/session")
        .json(&json!({"code": code}));
    assert_eq!(refused(again).await, (401, "unauthorized".into()));
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_ends_with_its_logout() {
    let registry = Registry::start().await;
    let admin = registry.admin.clone();
    let (cookie, _) = login(&registry, json!({"api_key": admin})).await;
    let data = registry.stop().await;
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    let who = |registry: &Registry| {
        registry
            .bare(Method::GET, "/api/session")
            .header(COOKIE, &cookie)
    };
    assert_eq!(ok(who(&registry)).await["peer_id"], "admin");
    let url = registry.url.clone();
    let logout = registry
        .bare(Method::DELETE, "/api/session")
        .header(COOKIE, &cookie);
    ok(logout.header(ORIGIN, url)).await;
    assert_eq!(refused(who(&registry)).await.0, 401);
}

#[tokio::test]
async fn another_site_cannot_use_the_session_to_change_anything() {
    let registry = Registry::start().await;
    let (cookie, _) = login(&registry, json!({"api_key": registry.admin})).await;
    let task = || {
        let request = registry
            .bare(Method::POST, "/api/hub/tasks")
            .header(COOKIE, &cookie);
        request.json(&json!({"skill": "x"}))
    };
    let forbidden = (403, "forbidden".to_owned());
    assert_eq!(refused(task()).await, forbidden);
    assert_eq!(
        refused(task().header(ORIGIN, "http://evil.example")).await,
        forbidden
    );
    assert_eq!(
        refused(task().header("sec-fetch-site", "same-site")).await,
        forbidden
    );
    assert!(ok(task().header(ORIGIN, &registry.url)).await["task_id"].is_string());
    assert!(ok(task().header("sec-fetch-site", "same-origin")).await["task_id"].is_string());
}

#[tokio::test]
async fn a_token_in_the_url_is_refused_unless_switched_on() {
    let off = Registry::start().await;
    let key = off.key("p1", "agent").await;
    let token = off.token(&key).await;
    let response = off
        .bare(Method::GET, &format!("/ws?token={token}"))
        .send()
        .await
        .unwrap();
    assert_eq!(problem(response).await.0, 401);

    let on = Registry::with(|options| options.compat_url_token = true).await;
    let key = on.key("p1", "agent").await;
    let token = on.token(&key).await;
    let path = format!("/ws?token={token}");
    assert!(on.socket_with("p1", &path, None).await.is_ok());
    let elsewhere = on.bare(Method::GET, &format!("/api/session?token={token}"));
    assert_eq!(refused(elsewhere).await.0, 401, "on /ws only");
}
