//! The signaling socket: relay, sender check, pushed work, its end.

use reqwest::Method;
use seamesh_proto::agent::{AgentInfo, AgentProfile};
use seamesh_proto::signaling::{
    AgentRegister, ClientSignal, Register, RegistrySignal, TaskAssign, TaskResult,
};
use seamesh_proto::task::Outcome;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::fixture::{Registry, Socket, ok};

/// Opens a socket and registers; answers the peers it was told of.
async fn join(registry: &Registry, peer: &str) -> (Socket, Vec<String>) {
    let key = registry.key(peer, "agent").await;
    let mut socket = registry.socket(peer, &key).await;
    socket
        .say(&ClientSignal::Register(Register { version: Some(1) }))
        .await;
    let list = socket.hear(|signal| match signal {
        RegistrySignal::PeerList(list) => Some(list.peers),
        _ => None,
    });
    let peers = list.await.iter().map(ToString::to_string).collect();
    (socket, peers)
}

fn offer(from: &str, to: &str, sdp: &str) -> Message {
    let payload = json!({"sdp": sdp, "future": {"deep": [1, null]}});
    let frame =
        json!({"type": "offer", "peer_id": from, "target_id": to, "payload": payload, "x": 1});
    Message::text(frame.to_string())
}

async fn next_offer(socket: &mut Socket) -> serde_json::Value {
    loop {
        let frame = socket.frame().await;
        if frame.kind == "offer" {
            return serde_json::from_str(&frame.to_text()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_newcomer_is_told_of_those_who_are_there_and_its_offer_reaches_them_whole() {
    let registry = Registry::start().await;
    let (mut one, alone) = join(&registry, "p1").await;
    let (mut two, peers) = join(&registry, "p2").await;
    assert!(alone.is_empty());
    assert_eq!(peers, ["p1"]);
    two.send(offer("p2", "p1", "v=0")).await;
    let got = next_offer(&mut one).await;
    assert_eq!(
        (&got["peer_id"], &got["payload"]["sdp"]),
        (&json!("p2"), &json!("v=0"))
    );
    assert_eq!(
        got["payload"]["future"],
        json!({"deep": [1, null]}),
        "unknown members survive"
    );
    assert_eq!(got["x"], 1);
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let registry = Registry::start().await;
    let (mut one, _) = join(&registry, "p1").await;
    let (mut two, _) = join(&registry, "p2").await;
    let (mut liar, _) = join(&registry, "p3").await;
    liar.send(offer("p2", "p1", "forged")).await;
    assert_eq!(liar.error().await, "forbidden");
    two.send(offer("p2", "p1", "real")).await;
    assert_eq!(next_offer(&mut one).await["payload"]["sdp"], "real");
}

#[tokio::test]
async fn when_the_older_of_two_sockets_closes_the_newer_stays_reachable() {
    let registry = Registry::start().await;
    let key = registry.key("p1", "agent").await;
    let register = ClientSignal::Register(Register { version: Some(1) });
    let heard = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
    let mut old = registry.socket("p1", &key).await;
    old.say(&register).await;
    old.hear(heard).await;
    let mut new = registry.socket("p1", &key).await;
    new.say(&register).await;
    new.hear(heard).await;
    old.send(Message::Close(None)).await;
    drop(old);
    let (mut two, peers) = join(&registry, "p2").await;
    assert_eq!(peers, ["p1"]);
    two.send(offer("p2", "p1", "hello")).await;
    assert_eq!(next_offer(&mut new).await["payload"]["sdp"], "hello");
}

fn librarian() -> ClientSignal {
    let profile: AgentProfile =
        serde_json::from_value(json!({"agent_id": "librarian", "skills": [{"name": "search"}]}))
            .unwrap();
    ClientSignal::AgentRegister(AgentRegister {
        agent: AgentInfo::from_profile(&profile, &"p1".parse().unwrap()),
        leases: vec![],
    })
}

async fn assigned(socket: &mut Socket) -> Box<TaskAssign> {
    let pick = |signal| match signal {
        RegistrySignal::TaskAssign(assign) => Some(Box::new(assign)),
        _ => None,
    };
    socket.hear(pick).await
}

#[tokio::test]
async fn queued_work_is_pushed_and_its_result_ends_the_task() {
    let registry = Registry::start().await;
    let (mut socket, _) = join(&registry, "p1").await;
    socket.say(&librarian()).await;
    let body = json!({"skill": "search", "payload": {"q": "x"}});
    let submitted = registry.post("/api/hub/tasks", &registry.admin, body).await;
    let assign = assigned(&mut socket).await;
    assert_eq!(submitted["task_id"], assign.task_id.as_str());
    let path = format!("/api/hub/tasks/{}", assign.task_id);
    let now = registry.get(&path, &registry.admin).await;
    assert_eq!(now["state"], "assigned", "what was pushed is durable");
    socket
        .say(&ClientSignal::TaskResult(TaskResult {
            task_id: assign.task_id.clone(),
            lease: assign.lease,
            outcome: Outcome::completed(json!({"hits": 3})),
        }))
        .await;
    let ack = socket.hear(|signal| match signal {
        RegistrySignal::TaskAck(ack) => Some(ack.code),
        _ => None,
    });
    assert_eq!(ack.await, None);
    let ended = ok(registry.request(Method::GET, &path, &registry.admin)).await;
    assert_eq!(
        (&ended["state"], &ended["result"]),
        (&json!("completed"), &json!({"hits": 3}))
    );
}

#[tokio::test]
async fn a_registry_that_goes_away_says_so_to_its_sockets_and_its_waiters() {
    let registry = Registry::start().await;
    let (mut socket, _) = join(&registry, "p1").await;
    let submitted = registry
        .post("/api/hub/tasks", &registry.admin, json!({"skill": "none"}))
        .await;
    let path = format!(
        "/api/hub/tasks/{}/wait",
        submitted["task_id"].as_str().unwrap()
    );
    let wait = registry.request(Method::GET, &path, &registry.admin);
    let waiting = tokio::spawn(ok(wait));
    // The registry has the wait once it counts it: nothing else tells.
    let metric = r#"seamesh_waits 1"#;
    loop {
        let text = registry
            .request(Method::GET, "/metrics", &registry.admin)
            .send()
            .await
            .unwrap();
        if text.text().await.unwrap().contains(metric) {
            break;
        }
    }
    let stopping = tokio::spawn(registry.stop());
    assert_eq!(u16::from(socket.closed().await.code), 1001);
    assert_eq!(waiting.await.unwrap()["state"], "pending");
    stopping.await.unwrap();
}
