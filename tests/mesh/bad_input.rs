//! What nobody should send: a clear error with its code, and everybody else is served on.

use anyhow::Result;
use seamesh_agent::Agent;
use seamesh_harness::Mesh;
use seamesh_proto::limits::MAX_LINE_BYTES;
use seamesh_tests::{Checked, Member, OldClient, Probe};
use serde_json::json;

#[tokio::test]
async fn lines_that_are_no_commands_are_told_with_their_code_and_the_next_is_served() -> Result<()>
{
    let mesh = Mesh::start().await?;
    let sidecar = mesh.sidecar("s").await?;
    let mut client = OldClient::connect(&sidecar.socket).await?;
    let long = [vec![b'x'; MAX_LINE_BYTES + 1], vec![b'\n']].concat();
    for (bytes, code) in [
        (&b"{\"type\":\n"[..], "bad_json"),
        (b"\xff\xfe\n", "bad_encoding"),
        (b"{\"payload\":{}}\n", "bad_field"),
        (b"{\"type\":\"send\",\"payload\":{}}\n", "bad_field"),
        (b"{\"type\":\"no_such\"}\n", "unknown_type"),
        (long.as_slice(), "too_large"),
    ] {
        client.raw(bytes).await?;
        let error = client.wait_for("error").await?;
        assert_eq!(
            error["code"],
            code,
            "{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        );
    }
    client.say("list_peers", json!({})).await?;
    assert_eq!(client.wait_for("peer_list").await?, json!({ "peers": [] }));
    Ok(())
}

#[tokio::test]
async fn a_message_to_a_peer_that_is_not_linked_is_answered_with_no_link() -> Checked {
    let mesh = Mesh::start().await?;
    let sidecar = mesh.sidecar("s").await?;
    let mut client = OldClient::connect(&sidecar.socket).await?;
    client
        .say(
            "send",
            json!({ "target_peer": "nobody", "message": { "type": "ping" } }),
        )
        .await?;
    assert_eq!(client.wait_for("error").await?["code"], "no_link");
    Ok(())
}

#[tokio::test]
async fn a_hello_out_of_order_or_of_another_version_is_refused() -> Checked {
    let mesh = Mesh::start().await?;
    let sidecar = mesh.sidecar("s").await?;
    let mut client = OldClient::connect(&sidecar.socket).await?;
    let hello = |version| json!({ "version": version, "agent": { "agent_id": "a" } });
    client.say("hello", hello(999)).await?;
    assert_eq!(
        client.wait_for("error").await?["code"],
        "version_unsupported"
    );
    let sidecar = mesh.sidecar("t").await?;
    let mut client = OldClient::connect(&sidecar.socket).await?;
    client.say("hello", hello(1)).await?;
    client.wait_for("welcome").await?;
    client.say("hello", hello(1)).await?;
    assert_eq!(client.wait_for("error").await?["code"], "out_of_order");
    Ok(())
}

#[tokio::test]
async fn a_hostile_message_over_a_link_reaches_nobody_and_ends_nothing() -> Checked {
    let mesh = Mesh::start().await?;
    let raw = mesh.sidecar("raw").await?;
    let worker = Member::join(&mesh, "worker-peer", Probe::agent("worker").0).await?;
    let mut client = OldClient::connect(&raw.socket).await?;
    client.wait_for("peer_connected").await?;
    for message in [
        json!({ "type": "task_request", "request_id": "1", "payload": [1, 2] }),
        json!({ "type": "task_request", "request_id": "2", "payload": { "skill": 7 } }),
        json!({ "type": "task_response", "request_id": "never-asked", "payload": { "result": 1 } }),
        json!({ "type": "task_cancel", "request_id": "never-asked" }),
        json!({ "type": 7 }),
        json!("not even an object"),
    ] {
        client
            .say(
                "send",
                json!({ "target_peer": "worker-peer", "message": message }),
            )
            .await?;
    }
    let request = json!({ "type": "task_request", "request_id": "good", "payload": { "skill": "add", "a": 1, "b": 2 } });
    client
        .say(
            "send",
            json!({ "target_peer": "worker-peer", "message": request }),
        )
        .await?;
    loop {
        let message = client.wait_for("message").await?["message"].clone();
        if message["request_id"] == "good" {
            assert_eq!(
                (&message["type"], &message["payload"]["result"]),
                (&json!("task_response"), &json!(3))
            );
            break;
        }
    }
    drop((worker, Agent::new("unused")));
    Ok(())
}
