//! Logins to the dashboard: the first link, the password, how often a guess is taken, and how a session ends.

use reqwest::header::{COOKIE, ORIGIN, RETRY_AFTER, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response};
use rusqlite::Connection;
use seamesh_registry::{Options, TurnSettings};
use serde_json::{Value, json};

use crate::fixture::{CAP, Registry, ok, options, problem, refused, soon};

const PASSWORD: &str = "correct horse battery";

fn login(registry: &Registry, body: &Value) -> RequestBuilder {
    registry.bare(Method::POST, "/api/session").json(body)
}

async fn cookie(request: RequestBuilder) -> (String, Value) {
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let pair = cookie.split(';').next().unwrap().to_owned();
    (pair, response.json().await.unwrap())
}

fn who(registry: &Registry, cookie: &str) -> RequestBuilder {
    registry
        .bare(Method::GET, "/api/session")
        .header(COOKIE, cookie)
}

async fn set_password(registry: &Registry) {
    let body = json!({ "password": PASSWORD });
    registry
        .post("/api/session/password", &registry.admin, body)
        .await;
}

fn code(link: &str) -> &str {
    link.split_once("/#login=")
        .expect("the code is in the fragment")
        .1
}

#[tokio::test]
async fn the_first_start_gives_a_link_that_logs_an_admin_in_once_and_asks_for_a_password() {
    let registry = Registry::start().await;
    let link = registry
        .first_login
        .clone()
        .expect("a link at the first start");
    assert!(link.starts_with(&registry.url), "{link}");
    let body = json!({ "code": code(&link) });
    let (session, answer) = cookie(login(&registry, &body)).await;
    let expected = json!({"peer_id": "admin", "role": "admin", "password_missing": true});
    assert_eq!(answer, expected);
    let again = refused(login(&registry, &body)).await;
    assert_eq!(again, (401, "unauthorized".into()));

    let set = registry
        .bare(Method::POST, "/api/session/password")
        .header(COOKIE, &session)
        .header(ORIGIN, &registry.url);
    ok(set.json(&json!({ "password": PASSWORD }))).await;
    let answer = ok(who(&registry, &session)).await;
    assert_eq!(answer, json!({"peer_id": "admin", "role": "admin"}));

    let data = registry.stop().await;
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    assert_eq!(registry.first_login, None, "only at the first start");
    ok(login(&registry, &json!({ "password": PASSWORD }))).await;
}

#[tokio::test]
async fn a_password_is_kept_as_an_argon2id_hash_and_outlives_a_restart() {
    let registry = Registry::start().await;
    let none = refused(login(&registry, &json!({ "password": PASSWORD }))).await;
    assert_eq!(none, (401, "unauthorized".into()), "there is none yet");
    set_password(&registry).await;
    let data = registry.stop().await;
    for file in std::fs::read_dir(data.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let in_clear = bytes
            .windows(PASSWORD.len())
            .any(|window| window == PASSWORD.as_bytes());
        assert!(!in_clear);
    }
    let database = Connection::open(data.path().join("data/registry.db")).unwrap();
    let kept: (u32, u32, Vec<u8>) = database
        .query_row(
            "SELECT memory_kib, passes, hash FROM passwords",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert!(kept.0 >= 19 * 1024 && kept.1 >= 2 && kept.2.len() == 32);
    drop(database);
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    let (_, answer) = cookie(login(&registry, &json!({ "password": PASSWORD }))).await;
    assert_eq!(answer, json!({"peer_id": "admin", "role": "admin"}));
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_the_old_one_and_no_others() {
    let registry = Registry::start().await;
    set_password(&registry).await;
    let (of_password, _) = cookie(login(&registry, &json!({ "password": PASSWORD }))).await;
    let (of_key, _) = cookie(login(&registry, &json!({ "api_key": registry.admin }))).await;
    let body = json!({"password": "another good password"});
    registry
        .post("/api/session/password", &registry.admin, body)
        .await;
    assert_eq!(refused(who(&registry, &of_password)).await.0, 401);
    ok(who(&registry, &of_key)).await;
    let old = refused(login(&registry, &json!({ "password": PASSWORD }))).await;
    assert_eq!(old, (401, "unauthorized".into()));
}

fn sessions(registry: &Registry, cookie: &str) -> RequestBuilder {
    registry
        .bare(Method::GET, "/api/sessions")
        .header(COOKIE, cookie)
}

#[tokio::test]
async fn a_session_is_ended_from_another_with_its_stream_and_over_a_restart() {
    let registry = Registry::start().await;
    let viewer = registry.key("eve", "viewer").await;
    let (eve, _) = cookie(login(&registry, &json!({ "api_key": viewer }))).await;
    let (admin, _) = cookie(login(&registry, &json!({ "api_key": registry.admin }))).await;
    let listed = ok(sessions(&registry, &admin)).await;
    let of = |peer: &str| {
        let all = listed.as_array().unwrap().iter();
        let of = all.filter(|one| one["peer_id"] == peer).collect::<Vec<_>>();
        assert_eq!(of.len(), 1, "{listed}");
        of[0].clone()
    };
    let (hers, own) = (of("eve"), of("admin"));
    assert_eq!(
        (&hers["role"], &hers["is_own"]),
        (&json!("viewer"), &Value::Null)
    );
    assert_eq!(own["is_own"], json!(true));
    let lives = hers["expires_ms"].as_u64().unwrap() - hers["began_ms"].as_u64().unwrap();
    assert_eq!(lives, 12 * 3600 * 1000);
    let secret = eve.split_once('=').unwrap().1;
    assert!(!listed.to_string().contains(secret), "{listed}");

    let stream = registry.bare(Method::GET, "/api/events");
    let mut stream = stream.header(COOKIE, &eve).send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    let path = format!("/api/sessions/{}", hers["session_id"].as_str().unwrap());
    let end = |key: &str| registry.request(Method::DELETE, &path, key);
    assert_eq!(refused(end(&viewer)).await.0, 403);
    ok(end(&registry.admin)).await;
    let over = async { while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    soon("the stream of the ended session ends", over).await;
    assert_eq!(refused(who(&registry, &eve)).await.0, 401);
    ok(who(&registry, &admin)).await;
    let again = refused(end(&registry.admin)).await;
    assert_eq!(again, (404, "not_found".into()));
    let audit = registry
        .get("/api/audit?newest=true&limit=1", &registry.admin)
        .await;
    let record = &audit["records"][0];
    assert_eq!(record["action"], "session_ended");
    assert_eq!(
        (&record["about"], &record["detail"]),
        (&hers["session_id"], &json!("of eve, viewer"))
    );

    let data = registry.stop().await;
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    assert_eq!(refused(who(&registry, &eve)).await.0, 401);
    ok(who(&registry, &admin)).await;
}

#[tokio::test]
async fn a_registry_tells_how_it_was_started_and_no_secret_of_it() {
    let registry = Registry::with(|options| {
        options.keep_ended = Options::days(7);
        options.max_database_bytes = Some(1 << 30);
        options.limits.identity_requests_per_second = 77;
        options.ice.turn = Some(TurnSettings {
            url: "turn:t:1".into(),
            secret: "shared-with-turn".into(),
        });
    })
    .await;
    let viewer = registry.key("eve", "viewer").await;
    let told = registry.get("/api/hub/settings", &viewer).await;
    assert_eq!(told["keep_ended_s"], json!(7 * 24 * 3600));
    assert_eq!(told["max_database_bytes"], json!(1 << 30));
    assert_eq!(told["requests"]["per_second"], json!(77));
    assert_eq!(
        (&told["tls"], &told["root_is_here"]),
        (&json!("off"), &json!(true))
    );
    assert!(!told.to_string().contains("shared-with-turn"), "{told}");
}

#[tokio::test]
async fn a_password_is_set_by_an_admin_and_long_enough() {
    let registry = Registry::start().await;
    for body in [
        json!({"password": "short"}),
        json!({"password": "x".repeat(1025)}),
        json!({"password": 5}),
        json!({}),
    ] {
        let request = registry.request(Method::POST, "/api/session/password", &registry.admin);
        let answer = refused(request.json(&body)).await;
        assert_eq!(answer, (422, "bad_field".into()), "{body}");
    }
    let both = json!({"password": PASSWORD, "api_key": registry.admin});
    let answer = refused(login(&registry, &both)).await;
    assert_eq!(answer, (422, "bad_field".into()));
}

async fn seconds_to_wait(response: Response) -> u64 {
    let header = response.headers()[RETRY_AFTER].to_str().unwrap().to_owned();
    assert_eq!(problem(response).await, (429, "rate_limited".into()));
    header.parse().unwrap()
}

#[tokio::test]
async fn five_guesses_a_minute_are_taken_and_then_not_even_the_right_one() {
    let registry = Registry::start().await;
    set_password(&registry).await;
    let guess = |n: u32| json!({"password": format!("guess number {n}")});
    // At once: none may pass the limit because the others are still being looked at.
    let guesses = (0..20).map(|n| login(&registry, &guess(n)).send());
    let answers = futures_util::future::join_all(guesses).await;
    let mut looked_at = 0;
    for answer in answers {
        let answer = answer.unwrap();
        match answer.status().as_u16() {
            401 => looked_at += 1,
            _ => assert!((1..=12).contains(&seconds_to_wait(answer).await)),
        }
    }
    assert_eq!(looked_at, 5);
    let right = login(&registry, &json!({ "password": PASSWORD })).send();
    seconds_to_wait(right.await.unwrap()).await;
}

#[tokio::test]
async fn good_logins_do_not_use_the_limit_up() {
    let registry = Registry::start().await;
    for _ in 0..12 {
        ok(login(&registry, &json!({ "api_key": registry.admin }))).await;
    }
}

#[tokio::test]
async fn another_site_cannot_log_a_browser_in() {
    let registry = Registry::start().await;
    let body = json!({ "api_key": registry.admin });
    let forbidden = (403, "forbidden".to_owned());
    let evil = login(&registry, &body).header(ORIGIN, "http://evil.example");
    assert_eq!(refused(evil).await, forbidden);
    let cross = login(&registry, &body).header("sec-fetch-site", "cross-site");
    assert_eq!(refused(cross).await, forbidden);
    ok(login(&registry, &body).header(ORIGIN, &registry.url)).await;
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let registry = Registry::start().await;
    let (session, _) = cookie(login(&registry, &json!({ "api_key": registry.admin }))).await;
    let data = registry.stop().await;
    let database = Connection::open(data.path().join("data/registry.db")).unwrap();
    // Half a second is left of it.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let end = i64::try_from(since.unwrap().as_millis()).unwrap() + 500;
    let changed = database.execute("UPDATE sessions SET expires_ms = ?1", [end]);
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    let over = async {
        loop {
            let answer = who(&registry, &session).timeout(CAP).send().await.unwrap();
            if answer.status().as_u16() == 401 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the session ends", over).await;
}
