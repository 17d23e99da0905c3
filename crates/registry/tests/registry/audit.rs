//! The audit: every decision is there, with who, what, when and from where; and no record can be touched unseen.

use reqwest::Method;
use rusqlite::Connection;
use seamesh_identity::{Chain, ChainError};
use seamesh_proto::audit::{AuditPage, AuditRecord};
use serde_json::{Value, json};

use crate::fixture::{Registry, ok, options, problem, refused};

async fn page(registry: &Registry, query: &str) -> AuditPage {
    let path = format!("/api/audit?{query}");
    let page = registry.get(&path, &registry.admin).await;
    serde_json::from_value(page).unwrap()
}

async fn all(registry: &Registry) -> Vec<AuditRecord> {
    page(registry, "limit=1000").await.records
}

fn verdict(records: &[AuditRecord]) -> Result<u64, ChainError> {
    let mut chain = Chain::default();
    records.iter().try_for_each(|r| chain.check(r))?;
    Ok(chain.last)
}

async fn login(registry: &Registry, body: Value) -> u16 {
    let request = registry.bare(Method::POST, "/api/session").json(&body);
    request.send().await.unwrap().status().as_u16()
}

/// Decides something of every kind.
async fn decide(registry: &Registry) {
    let admin = registry.admin.clone();
    let key = registry
        .post(
            "/api/keys",
            &admin,
            json!({"peer_id": "p1", "role": "agent"}),
        )
        .await;
    let key_id = key["key_id"].as_str().unwrap();
    let rotated = registry
        .post(&format!("/api/keys/{key_id}/rotate"), &admin, json!({}))
        .await;
    let path = format!("/api/keys/{}", rotated["key_id"].as_str().unwrap());
    ok(registry.request(Method::DELETE, &path, &admin)).await;
    ok(registry.request(Method::POST, "/api/keys/signing", &admin)).await;
    registry
        .post(
            "/api/session/password",
            &admin,
            json!({"password": "a good password"}),
        )
        .await;
    registry.post("/api/session/link", &admin, json!({})).await;
    assert_eq!(
        login(registry, json!({"password": "not this one"})).await,
        401
    );
    assert_eq!(
        login(registry, json!({"password": "a good password"})).await,
        200
    );

    let invite = registry
        .post("/api/pairing/generate-code", &admin, json!({}))
        .await;
    let body = json!({"code": invite["code"], "agent_name": "new"});
    let redeem = |body: &Value| registry.bare(Method::POST, "/api/pairing/pair").json(body);
    let entry = ok(redeem(&body)).await;
    assert_eq!(refused(redeem(&body)).await.1, "invite_invalid");
    let id = entry["id"].as_str().unwrap();
    for deed in ["approve", "revoke"] {
        let path = format!("/api/pairing/{id}/{deed}");
        ok(registry.request(Method::POST, &path, &admin)).await;
        // A second time there is nothing to decide, and nothing to record.
        assert_eq!(
            refused(registry.request(Method::POST, &path, &admin))
                .await
                .0,
            404
        );
    }
    let agent = registry.key("p2", "agent").await;
    let body = json!({"agent_id": "a2", "hostname": "h"});
    registry.post("/api/registry/agents", &agent, body).await;
    ok(registry.request(Method::DELETE, "/api/registry/agents/a2", &admin)).await;
}

#[tokio::test]
async fn every_decision_is_recorded_with_who_what_when_and_from_where() {
    let registry = Registry::start().await;
    decide(&registry).await;
    let records = all(&registry).await;
    let story: Vec<_> = records.iter().map(|r| r.action.as_str()).collect();
    let expected = [
        "login_link_made",
        "key_made",
        "key_rotated",
        "key_revoked",
        "signing_key_rotated",
        "password_set",
        "login_link_made",
        "login_refused",
        "login",
        "invite_made",
        "invite_redeemed",
        "invite_refused",
        "newcomer_approved",
        "newcomer_revoked",
        "key_made",
        "agent_removed",
    ];
    assert_eq!(story, expected);
    assert_eq!(verdict(&records), Ok(16));

    let by = |action: &str| records.iter().find(|r| r.action == action).unwrap();
    let first = by("login_link_made");
    assert_eq!((first.by.as_str(), first.from.as_str()), ("registry", ""));
    let made = by("key_made");
    assert_eq!(made.by, "admin");
    assert_eq!(
        (made.credential.as_str(), made.from.as_str()),
        ("admin", "127.0.0.1")
    );
    assert!(made.about.starts_with("key-") && made.detail.contains("p1"));
    let refused = by("login_refused");
    assert_eq!((refused.by.as_str(), refused.role), ("", None));
    assert_eq!(by("login").credential, "password");
    let redeemed = by("invite_redeemed");
    assert_eq!(
        (redeemed.by.as_str(), redeemed.from.as_str()),
        ("", "127.0.0.1")
    );
    assert_eq!(redeemed.about, by("newcomer_approved").about);
    assert_eq!(by("agent_removed").about, "a2");
    assert!(
        records
            .windows(2)
            .all(|pair| pair[0].at_ms <= pair[1].at_ms)
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let age = now.unwrap().as_millis() - u128::from(records[0].at_ms);
    assert!(age < 60_000, "{age} ms ago");
}

#[tokio::test]
async fn the_audit_is_paged_both_ways_and_goes_on_after_a_restart() {
    let registry = Registry::start().await;
    for n in 0..4 {
        registry.key(&format!("p{n}"), "agent").await;
    }
    let data = registry.stop().await;
    let chosen = options(data.path());
    let registry = Registry::over(data, chosen).await;
    registry.key("p9", "agent").await;
    let numbers = |page: &AuditPage| page.records.iter().map(|r| r.n).collect::<Vec<_>>();
    let first = page(&registry, "limit=4").await;
    assert_eq!(
        (numbers(&first), first.next_after),
        (vec![1, 2, 3, 4], Some(4))
    );
    let second = page(&registry, "limit=4&after=4").await;
    assert_eq!((numbers(&second), second.next_after), (vec![5, 6], None));
    let newest = page(&registry, "newest=true&limit=4").await;
    assert_eq!(
        (numbers(&newest), newest.next_after),
        (vec![6, 5, 4, 3], Some(3))
    );
    let oldest = page(&registry, "newest=true&limit=4&after=3").await;
    assert_eq!((numbers(&oldest), oldest.next_after), (vec![2, 1], None));
    assert_eq!(verdict(&all(&registry).await), Ok(6));
    for query in ["limit=0", "limit=1001", "after=-1", "newest=perhaps"] {
        let path = format!("/api/audit?{query}");
        let answer = refused(registry.request(Method::GET, &path, &registry.admin)).await;
        assert_eq!(answer, (422, "bad_field".into()), "{query}");
    }
}

/// Runs a statement on the database of a registry that is stopped meanwhile, as somebody with its disk could.
async fn tampered(statement: &str) -> Registry {
    let registry = Registry::start().await;
    for n in 0..4 {
        registry.key(&format!("p{n}"), "agent").await;
    }
    let data = registry.stop().await;
    let database = Connection::open(data.path().join("data/registry.db")).unwrap();
    let refused = database.execute_batch(statement).unwrap_err().to_string();
    assert!(refused.contains("only added to"), "{refused}");
    let triggers = "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_removed;";
    database.execute_batch(triggers).unwrap();
    database.execute_batch(statement).unwrap();
    drop(database);
    let chosen = options(data.path());
    Registry::over(data, chosen).await
}

#[tokio::test]
async fn a_changed_record_is_told_with_its_number() {
    let statement = "UPDATE audit SET body = replace(body, '\"p1, agent', '\"p7, agent') WHERE n = 3;\
                     UPDATE audit SET body = replace(body, 'for p1', 'for p7') WHERE n = 3;";
    let registry = tampered(statement).await;
    assert_eq!(verdict(&all(&registry).await), Err(ChainError::Changed(3)));
}

#[tokio::test]
async fn a_record_that_is_no_record_any_more_is_told_with_its_number() {
    let registry = tampered("UPDATE audit SET body = '{}' WHERE n = 4;").await;
    let request = registry.request(Method::GET, "/api/audit", &registry.admin);
    let response = request.send().await.unwrap();
    let text = response.text().await.unwrap();
    assert!(text.contains("audit record 4 was changed"), "{text}");
    let request = registry.request(Method::GET, "/api/audit?limit=3", &registry.admin);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    let request = registry.request(Method::GET, "/api/audit", &registry.admin);
    assert_eq!(problem(request.send().await.unwrap()).await.0, 500);
}

#[tokio::test]
async fn a_removed_record_is_told_with_its_number() {
    let registry = tampered("DELETE FROM audit WHERE n = 2;").await;
    let missing = ChainError::Missing {
        expected: 2,
        found: 3,
    };
    assert_eq!(verdict(&all(&registry).await), Err(missing));
}

#[tokio::test]
async fn two_records_that_changed_places_are_told_with_their_number() {
    let statement = "UPDATE audit SET n = -1 WHERE n = 2; UPDATE audit SET n = 2 WHERE n = 3;\
                     UPDATE audit SET n = 3 WHERE n = -1;";
    let registry = tampered(statement).await;
    assert_eq!(verdict(&all(&registry).await), Err(ChainError::Changed(2)));
}
