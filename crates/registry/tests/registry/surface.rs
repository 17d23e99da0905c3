//! What an agent may not do with what is another's: every row of the table that an agent is heard on, said by one that
//! has nothing to do with the work and the agent it names.

use reqwest::{Method, RequestBuilder};
use seamesh_proto::Code;
use seamesh_proto::ledger::Channel;
use seamesh_proto::rest::Role;
use seamesh_proto::routes::{Access, ROUTES};
use seamesh_proto::signaling::{ClientSignal, Register, RegistrySignal, TaskAssign, TaskResult};
use seamesh_proto::surface::{Foreign, Heard, Row, rows};
use seamesh_proto::task::Outcome;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::fixture::{Registry, Socket, ok, refused};

/// A registry with `owner`, whose agent `librarian` holds a task that `asker` submitted, and with `liar`, whose agent is
/// `liar`.
struct Scene {
    registry: Registry,
    owner: Socket,
    liar: Socket,
    liar_key: String,
    held: Box<TaskAssign>,
}

async fn join(registry: &Registry, peer: &str, key: &str) -> Socket {
    let mut socket = registry.socket(peer, key).await;
    socket
        .say(&ClientSignal::Register(Register { version: Some(1) }))
        .await;
    let list = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
    socket.hear(list).await;
    socket
}

fn agent(name: &str, skill: &str) -> Value {
    json!({"agent_id": name, "hostname": "h", "skills": [{"name": skill}]})
}

async fn say(socket: &mut Socket, from: &str, kind: &str, payload: Value) {
    let frame = json!({"type": kind, "peer_id": from, "target_id": "owner", "payload": payload});
    socket.send(Message::text(frame.to_string())).await;
}

impl Scene {
    async fn new() -> Self {
        let registry = Registry::start().await;
        let asker = registry.key("asker", "agent").await;
        let owner_key = registry.key("owner", "agent").await;
        let liar_key = registry.key("liar", "agent").await;
        let mut owner = join(&registry, "owner", &owner_key).await;
        let register = json!({"agent": agent("librarian", "search")});
        say(&mut owner, "owner", "agent_register", register).await;
        let mut liar = join(&registry, "liar", &liar_key).await;
        let register = json!({"agent": agent("liar", "lie")});
        say(&mut liar, "liar", "agent_register", register).await;
        let task = json!({"skill": "search", "stream": true});
        registry.post("/api/hub/tasks", &asker, task).await;
        let held = owner.hear(|signal| match signal {
            RegistrySignal::TaskAssign(assign) => Some(Box::new(assign)),
            _ => None,
        });
        let held = held.await;
        Self {
            registry,
            owner,
            liar,
            liar_key,
            held,
        }
    }

    async fn lie(&mut self, kind: &str, payload: Value) {
        say(&mut self.liar, "liar", kind, payload).await;
    }

    /// The code by which the liar is refused, in whichever frame.
    async fn refusal(&mut self) -> Code {
        let told = self.liar.hear(|signal| match signal {
            RegistrySignal::Error(problem) => Some(problem.code),
            RegistrySignal::TaskAck(ack) => ack.code,
            RegistrySignal::TaskRevoke(revoke) => Some(revoke.code),
            _ => None,
        });
        told.await
    }

    /// A frame that names the owner's agent or its work.
    fn frame_about_the_owner(&self, kind: &str) -> Value {
        let (task_id, lease) = (&self.held.task_id, self.held.lease);
        let lease_ref = json!({"task_id": task_id, "lease": lease});
        let with = |key: &str, value: Value| {
            let mut body = lease_ref.clone();
            body[key] = value;
            body
        };
        match kind {
            "heartbeat" => json!({"agent_id": "librarian", "leases": [lease_ref]}),
            "agent_register" => json!({"agent": agent("librarian", "lie")}),
            "agent_away" | "agent_remove" => json!({"agent_id": "librarian"}),
            "task_result" => with("outcome", json!({"state": "completed", "result": "forged"})),
            "task_news" => with("progress", json!({"note": "forged"})),
            "task_release" => lease_ref,
            "task_input" => json!({"task_id": task_id, "attempt": 1, "taken": 7}),
            "task_cancel" => json!({"task_id": task_id}),
            other => panic!("say how `{other}` would speak for somebody else"),
        }
    }

    /// A request that names the owner's agent or the asker's task.
    fn request_about_the_owner(&self, operation: &str) -> RequestBuilder {
        let route = ROUTES.iter().find(|r| r.operation == operation).unwrap();
        let path = route
            .path
            .replace("{agent_id}", "librarian")
            .replace("{task_id}", self.held.task_id.as_str());
        let method = Method::from_bytes(route.method.as_bytes()).unwrap();
        let request = self.registry.request(method, &path, &self.liar_key);
        let body = match operation {
            "register_agent" => agent("librarian", "lie"),
            "heartbeat" => json!({"agent_id": "librarian"}),
            "update_task" => json!({"state": "completed", "result": "forged"}),
            "answer_task" => json!({"number": 1, "value": "forged"}),
            "remove_agent" | "cancel_task" | "task_chunks" => return request,
            other => panic!("say how `{other}` would speak for somebody else"),
        };
        request.json(&body)
    }

    /// Nothing of what the liar said has happened.
    async fn unharmed(mut self) {
        let admin = self.registry.admin.clone();
        let record = self.registry.get("/api/registry/agents/librarian", &admin);
        let record = record.await;
        assert_eq!(record["sidecar_peer_id"], "owner");
        assert_eq!(record["skills"][0]["name"], "search");
        assert_eq!(record["health"], "active");
        let path = format!("/api/hub/tasks/{}", self.held.task_id);
        let task = self.registry.get(&path, &admin).await;
        assert_eq!(task["state"], "assigned", "{task}");
        assert_eq!(task["assigned_agent_id"], "librarian");
        let result = ClientSignal::TaskResult(TaskResult {
            task_id: self.held.task_id.clone(),
            lease: self.held.lease,
            outcome: Outcome::completed(json!("true")),
        });
        self.owner.say(&result).await;
        let ack = self.owner.hear(|signal| match signal {
            RegistrySignal::TaskAck(ack) => Some(ack.code),
            _ => None,
        });
        assert_eq!(ack.await, None, "its lease is as good as before");
        assert_eq!(self.registry.get(&path, &admin).await["result"], "true");
    }
}

fn rows_of(channel: Channel) -> impl Iterator<Item = Row> {
    rows().into_iter().filter(move |row| row.channel == channel)
}

#[tokio::test]
async fn no_frame_of_any_kind_is_taken_from_another_sender() {
    let mut scene = Scene::new().await;
    for row in rows_of(Channel::Signaling) {
        say(&mut scene.liar, "owner", row.name, json!({})).await;
        assert_eq!(scene.refusal().await, Code::Forbidden, "{}", row.name);
    }
    scene.unharmed().await;
}

#[tokio::test]
async fn a_frame_about_what_is_anothers_does_what_its_row_says() {
    let mut scene = Scene::new().await;
    for row in rows_of(Channel::Signaling) {
        let kind = row.name;
        match row.foreign {
            Foreign::Refused(code) => {
                let about = scene.frame_about_the_owner(kind);
                scene.lie(kind, about).await;
                assert_eq!(scene.refusal().await, code, "{kind}");
            }
            Foreign::Addressed => {
                scene.lie(kind, json!({"sdp": "v=0"})).await;
                while scene.owner.frame().await.kind != kind {}
                scene.lie(kind, json!({"again": true})).await;
                let relayed = scene.owner.frame().await;
                let told = (relayed.kind.as_str(), relayed.peer_id.as_str());
                assert_eq!(told, (kind, "liar"));
            }
            Foreign::PutRight => put_right(&mut scene, kind).await,
            Foreign::Unsaid | Foreign::Shared => {}
        }
    }
    scene.unharmed().await;
}

/// Work that the liar says is the librarian's stands there as its own.
async fn put_right(scene: &mut Scene, kind: &str) {
    let id = format!("of-{kind}").replace('_', "-");
    let body = match kind {
        "task_submit" => json!({"request_id": "r", "task":
            {"task_id": id, "skill": "none", "source_agent_id": "librarian"}}),
        "task_report" => json!({"tasks": [{"task_id": id, "skill": "none",
            "source_agent_id": "librarian", "target_agent_id": "liar", "state": "completed",
            "started_ms": 1, "finished_ms": 2}]}),
        other => panic!("say how `{other}` would speak for somebody else"),
    };
    scene.lie(kind, body).await;
    // Behind it on the same socket: once this is answered, that is done.
    scene.lie("register", json!({"version": 1})).await;
    let list = |signal| matches!(signal, RegistrySignal::PeerList(_)).then_some(());
    scene.liar.hear(list).await;
    let path = format!("/api/hub/tasks/{id}/wait?timeout_ms=1");
    let task = scene.registry.get(&path, &scene.registry.admin).await;
    assert_eq!(task["source_agent_id"], "liar", "{kind}: {task}");
}

#[tokio::test]
async fn a_request_about_what_is_anothers_does_what_its_row_says() {
    let scene = Scene::new().await;
    for row in rows_of(Channel::Rest) {
        let Heard::Access(Access::Roles(roles)) = row.heard else {
            continue;
        };
        if !roles.contains(&Role::Agent) {
            continue;
        }
        match row.foreign {
            Foreign::Refused(code) => {
                let (_, told) = refused(scene.request_about_the_owner(row.name)).await;
                assert_eq!(told, code.as_str(), "{}", row.name);
            }
            Foreign::PutRight => {
                assert_eq!(row.name, "submit_task", "say how it is put right");
                let body = json!({"skill": "none", "source_agent_id": "librarian"});
                let submit =
                    scene
                        .registry
                        .request(Method::POST, "/api/hub/tasks", &scene.liar_key);
                let made = ok(submit.json(&body)).await;
                let path = format!("/api/hub/tasks/{}", made["task_id"].as_str().unwrap());
                let task = scene.registry.get(&path, &scene.registry.admin).await;
                assert_eq!(task["source_agent_id"], "liar");
            }
            Foreign::Addressed => panic!("no route passes anything on"),
            Foreign::Unsaid | Foreign::Shared => {}
        }
    }
    scene.unharmed().await;
}

#[tokio::test]
async fn the_socket_hears_the_roles_of_its_rows_and_no_other() {
    let registry = Registry::start().await;
    let row = rows_of(Channel::Signaling).next().unwrap();
    let Heard::Access(Access::Roles(heard)) = row.heard else {
        panic!("{row:?}");
    };
    for (role, name) in [
        (Role::Agent, "agent"),
        (Role::Viewer, "viewer"),
        (Role::Operator, "operator"),
        (Role::Admin, "admin"),
    ] {
        let key = registry.key(&format!("peer-{name}"), name).await;
        let token = registry.token(&key).await;
        let opened = registry.socket_with("p", "/ws", Some(&token)).await;
        assert_eq!(opened.is_ok(), heard.contains(&role), "{name}");
    }
}
