//! What an agent says and hears in words, against the sidecar's end of the socket: prompts, built-in skills, on the
//! direct path, the queue's, and where they fail.
#![allow(clippy::unwrap_used)]

mod sidecar_end;

use std::time::Duration;

use seamesh_agent::{Agent, BUILTIN, Code, Ctx, Mesh, SkillError};
use serde_json::{Value, json};
use sidecar_end::{Client, SidecarEnd};
use tokio::sync::mpsc;

/// Answers loudly, in parts where they are wanted.
async fn shout(ctx: Ctx, message: String) -> Result<String, SkillError> {
    if message == "fail" {
        return Err(SkillError::with_code(Code::BadArguments, "not that"));
    }
    if ctx.is_streamed() {
        for word in message.split(' ') {
            ctx.chunk(word).await?;
        }
    }
    Ok(message.to_uppercase())
}

fn desk() -> Agent {
    Agent::new("desk").on_prompt(shout).builtin(BUILTIN)
}

/// An agent of the mesh, as the sidecar lists it.
fn listed(name: &str, skills: &[&str]) -> Value {
    let skills: Vec<_> = skills.iter().map(|s| json!({ "name": s })).collect();
    json!({ "agent_id": name, "hostname": "h", "sidecar_peer_id": format!("{name}-peer"), "skills": skills,
        "health": "active", "registered_at": "2026-01-01T00:00:00Z", "last_heartbeat": "2026-01-01T00:00:00Z" })
}

/// Answers one question for the agents of the mesh.
async fn list(client: &mut Client) {
    let asked = client.expect("agents").await;
    let agents = [
        listed("near", &["agent_prompt", "add"]),
        listed("far", &["agent_prompt"]),
        listed("deaf", &["add"]),
    ];
    let answer = json!({ "request_id": asked["request_id"], "agents": agents });
    client.say("agents", answer).await;
}

async fn linked(client: &mut Client) {
    client
        .say("peer_connected", json!({ "peer_id": "near-peer" }))
        .await;
}

/// A message to the agent from `near`.
async fn tell(client: &mut Client, kind: &str, request_id: &str, body: Value) {
    let message = json!({ "type": kind, "request_id": request_id, "source_agent": "near", "target_agent": "desk",
        "payload": body });
    client
        .say(
            "message",
            json!({ "from_peer": "near-peer", "message": message }),
        )
        .await;
}

/// What the agent sends next to a peer.
async fn sent(client: &mut Client) -> Value {
    let sent = client.expect("send").await;
    assert_eq!(sent["target_peer"], "near-peer");
    sent["message"].clone()
}

async fn outcome(client: &mut Client) -> Value {
    client.expect("respond").await["outcome"].clone()
}

#[tokio::test]
async fn a_prompt_over_a_link_is_answered_over_it_and_in_parts_where_they_are_wanted() {
    let sidecar = SidecarEnd::listen();
    let _running = desk().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    let body = json!({ "message": "hello you", "stream": true });
    tell(&mut client, "agent_prompt", "q-1", body).await;
    for (number, word) in ["hello", "you"].iter().enumerate() {
        let part = sent(&mut client).await;
        assert_eq!(part["type"], "agent_stream_chunk");
        assert_eq!(part["payload"], json!({ "number": number, "chunk": word }));
    }
    let answer = sent(&mut client).await;
    assert_eq!(
        (
            &answer["type"],
            &answer["request_id"],
            &answer["target_agent"]
        ),
        (&json!("agent_response"), &json!("q-1"), &json!("near"))
    );
    assert_eq!(answer["payload"], json!({ "message": "HELLO YOU" }));
    // Who names no question waits for no answer; the next one's shows that none was sent.
    tell(&mut client, "agent_prompt", "", json!({ "message": "a" })).await;
    tell(
        &mut client,
        "agent_prompt",
        "q-2",
        json!({ "message": "fail" }),
    )
    .await;
    let failed = sent(&mut client).await;
    assert_eq!(failed["request_id"], "q-2");
    assert_eq!(
        failed["payload"],
        json!({ "message": null, "error": "not that", "code": "bad_arguments" })
    );
}

#[tokio::test]
async fn a_prompt_from_the_queue_is_work_and_a_text_alone_is_one_too() {
    let sidecar = SidecarEnd::listen();
    let _running = desk().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    for (n, payload) in [json!({ "message": "hi", "direct": true }), json!("hi")]
        .into_iter()
        .enumerate()
    {
        for skill in ["agent_prompt", "user_intervention"] {
            client
                .task(&format!("{skill}-{n}"), skill, payload.clone())
                .await;
            assert_eq!(outcome(&mut client).await["result"], "HI");
        }
    }
    client
        .task("bad", "agent_prompt", json!({ "text": 1 }))
        .await;
    assert_eq!(outcome(&mut client).await["error"]["code"], "bad_arguments");
}

#[tokio::test]
async fn a_question_for_skills_is_answered_and_every_other_message_is_the_agents() {
    let sidecar = SidecarEnd::listen();
    let (heard, mut reads) = mpsc::unbounded_channel();
    let agent = Agent::new("desk").on_message(move |_: &Mesh, message| {
        let text: Value = serde_json::from_str(message.message.text()).unwrap();
        heard.send(text["type"].clone()).unwrap();
    });
    let _running = agent.start(&sidecar.path).unwrap();
    let (mut client, hello) = sidecar.accept().await;
    assert_eq!(hello["agent"]["skills"][0]["name"], "agent_prompt");
    client.welcome().await;
    tell(&mut client, "skill_query", "q-1", json!({})).await;
    let answer = sent(&mut client).await;
    assert_eq!(answer["type"], "skill_response");
    assert_eq!(answer["payload"]["skills"][0]["name"], "agent_prompt");
    for kind in ["agent_prompt", "agent_status", "agent_response", "else"] {
        tell(&mut client, kind, "", json!({ "message": "m" })).await;
        assert_eq!(reads.recv().await.unwrap(), kind);
    }
    client
        .task("t", "agent_prompt", json!({ "message": "queued" }))
        .await;
    assert_eq!(reads.recv().await.unwrap(), "agent_prompt");
    assert_eq!(outcome(&mut client).await["state"], "completed");
}

#[tokio::test]
async fn mesh_send_goes_over_the_link_or_through_the_queue_and_says_who_reads_nothing() {
    let sidecar = SidecarEnd::listen();
    let _running = desk().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    linked(&mut client).await;
    let to = |whom: &str| json!({ "target_agent_id": whom, "message": "m" });
    client.task("t1", "mesh_send", to("near")).await;
    list(&mut client).await;
    let said = sent(&mut client).await;
    assert_eq!(
        (&said["type"], &said["payload"]["message"]),
        (&json!("agent_prompt"), &json!("m"))
    );
    assert_eq!(
        outcome(&mut client).await["result"],
        json!({ "path": "direct" })
    );

    client.task("t2", "mesh_send", to("far")).await;
    list(&mut client).await;
    let asked = client.expect("request").await;
    assert_eq!(
        (&asked["skill"], &asked["to"], &asked["via"], &asked["wait"]),
        (
            &json!("agent_prompt"),
            &json!("far"),
            &json!("queue"),
            &json!(false)
        )
    );
    assert_eq!(asked["parent"], "t2", "it stands under the task at hand");
    let accepted = json!({ "request_id": asked["request_id"], "task_id": "q-9", "path": "queue" });
    client.say("accepted", accepted).await;
    assert_eq!(
        outcome(&mut client).await["result"],
        json!({ "path": "queue", "task_id": "q-9" })
    );

    for (whom, code) in [("deaf", "skill_unknown"), ("nobody", "agent_unknown")] {
        client.task(whom, "mesh_send", to(whom)).await;
        list(&mut client).await;
        assert_eq!(outcome(&mut client).await["error"]["code"], code);
    }
}

#[tokio::test]
async fn mesh_broadcast_tells_who_got_it_which_way() {
    let sidecar = SidecarEnd::listen();
    let _running = desk().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    linked(&mut client).await;
    client
        .task("t", "mesh_broadcast", json!({ "message": "all" }))
        .await;
    list(&mut client).await;
    let said = client.expect("broadcast").await;
    assert_eq!(said["message"]["payload"]["message"], "all");
    let asked = client.expect("request").await;
    assert_eq!(asked["to"], "far");
    let accepted = json!({ "request_id": asked["request_id"], "task_id": "q", "path": "queue" });
    client.say("accepted", accepted).await;
    assert_eq!(
        outcome(&mut client).await["result"],
        json!({ "direct": ["near"], "queue": ["far"], "unreached": ["deaf"] })
    );
}

#[tokio::test]
async fn delegate_asks_by_agent_or_by_skill_and_gives_the_result_or_the_task() {
    let sidecar = SidecarEnd::listen();
    let _running = desk().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    let by_agent = json!({ "target_agent_id": "near", "message": "m" });
    client.task("t1", "delegate", by_agent).await;
    let asked = client.expect("request").await;
    assert_eq!(
        (&asked["skill"], &asked["to"], &asked["payload"]),
        (
            &json!("agent_prompt"),
            &json!("near"),
            &json!({ "message": "m" })
        )
    );
    let response = json!({ "request_id": asked["request_id"], "task_id": "x", "path": "direct", "agent_id": "near",
        "outcome": { "state": "completed", "result": 7 } });
    client.say("response", response).await;
    assert_eq!(outcome(&mut client).await["result"], 7);

    let by_skill = json!({ "skill": "add", "arguments": { "a": 1 }, "wait": false });
    client.task("t2", "delegate", by_skill).await;
    let asked = client.expect("request").await;
    assert_eq!(
        (&asked["skill"], &asked["payload"]),
        (&json!("add"), &json!({ "a": 1 }))
    );
    let accepted = json!({ "request_id": asked["request_id"], "task_id": "q", "path": "queue" });
    client.say("accepted", accepted).await;
    assert_eq!(
        outcome(&mut client).await["result"],
        json!({ "task_id": "q" })
    );

    client
        .task("t3", "delegate", json!({ "message": "m" }))
        .await;
    assert_eq!(outcome(&mut client).await["error"]["code"], "bad_arguments");
}

#[tokio::test]
async fn list_agents_and_find_agent_tell_who_is_there_and_who_is_linked() {
    let sidecar = SidecarEnd::listen();
    let _running = desk().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    linked(&mut client).await;
    client
        .task("t1", "list_agents", json!({ "skill": "add" }))
        .await;
    list(&mut client).await;
    let listed = outcome(&mut client).await["result"].clone();
    let seen: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (&a["agent_id"], &a["linked"]))
        .collect();
    assert_eq!(
        seen,
        [
            (&json!("near"), &json!(true)),
            (&json!("deaf"), &json!(false))
        ]
    );
    client
        .task("t2", "find_agent", json!({ "skill": "no_such" }))
        .await;
    list(&mut client).await;
    assert_eq!(outcome(&mut client).await["error"]["code"], "no_agent");
}

#[tokio::test]
async fn a_prompt_is_answered_by_the_peer_that_was_asked_until_its_link_goes_down() {
    let sidecar = SidecarEnd::listen();
    let running = desk().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    linked(&mut client).await;
    let mesh = running.mesh().clone();
    // The link is known once a question asked after it is answered.
    let peers = tokio::spawn({
        let mesh = mesh.clone();
        async move { mesh.peers().await }
    });
    client.expect("list_peers").await;
    client
        .say("peer_list", json!({ "peers": ["near-peer"] }))
        .await;
    peers.await.unwrap().unwrap();
    let asking = tokio::spawn({
        let mesh = mesh.clone();
        async move { mesh.prompt("near", "who").await }
    });
    list(&mut client).await;
    let asked = sent(&mut client).await;
    let id = asked["request_id"].as_str().unwrap();
    tell(
        &mut client,
        "agent_response",
        id,
        json!({ "message": "me" }),
    )
    .await;
    assert_eq!(asking.await.unwrap().unwrap(), "me");

    let asking = tokio::spawn(async move {
        mesh.prompt("near", "who")
            .timeout(Duration::from_secs(60))
            .await
    });
    list(&mut client).await;
    sent(&mut client).await;
    client
        .say("peer_disconnected", json!({ "peer_id": "near-peer" }))
        .await;
    assert_eq!(asking.await.unwrap().unwrap_err().code, Code::LinkLost);
}

#[test]
fn an_unknown_built_in_skill_is_told_with_those_there_are() {
    let error = Agent::new("a")
        .builtin(["list_agent"])
        .profile()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("list_agent") && text.contains("mesh_send"),
        "{text}"
    );
    let own = |_: Ctx, (): ()| async { Ok::<_, SkillError>(()) };
    let agent = Agent::new("a").skill("delegate", own).builtin(["delegate"]);
    assert_eq!(agent.profile().unwrap().skills.len(), 1, "its own stays");
}
