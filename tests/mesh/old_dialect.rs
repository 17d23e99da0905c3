//! Clients and agents of the existing wire.

use seamesh_agent::Agent;
use seamesh_harness::Mesh;
use seamesh_proto::AgentInfo;
use seamesh_proto::rest::Role;
use seamesh_tests::{Checked, Member, OldClient, Probe, cap};
use serde_json::json;

#[tokio::test]
async fn a_client_that_never_says_hello_has_its_task_request_answered_by_a_native_agent() -> Checked
{
    let mesh = Mesh::start().await?;
    let old = mesh.sidecar("old-sidecar").await?;
    let _native = Member::join(&mesh, "native-sidecar", Probe::agent("native").0).await?;
    let mut client = OldClient::connect(&old.socket).await?;
    assert_eq!(
        client.wait_for("peer_connected").await?["peer_id"],
        "native-sidecar"
    );
    client.say("list_peers", json!({})).await?;
    assert_eq!(
        client.wait_for("peer_list").await?["peers"],
        json!(["native-sidecar"])
    );
    let request = json!({
        "type": "task_request", "request_id": "0123456789ab", "source_agent": "old", "target_agent": "native",
        "payload": { "skill": "add", "a": 2, "b": 2 },
    });
    client
        .say(
            "send",
            json!({ "target_peer": "native-sidecar", "message": request }),
        )
        .await?;
    let answer = client.wait_for("message").await?;
    assert_eq!(answer["from_peer"], "native-sidecar");
    assert_eq!(answer["message"]["type"], "task_response");
    assert_eq!(answer["message"]["request_id"], "0123456789ab");
    assert_eq!(answer["message"]["payload"]["result"], 4);
    assert_eq!(answer["message"]["payload"]["error"], "");
    Ok(())
}

#[tokio::test]
async fn a_native_agent_delegates_to_an_agent_of_the_old_dialect() -> Checked {
    let mesh = Mesh::start().await?;
    let key = mesh.key("old-sidecar", Role::Agent).await?;
    let sidecar = mesh.sidecar_with_key("old-sidecar", key.clone()).await?;
    let mut client = OldClient::connect(&sidecar.socket).await?;
    let native = Member::join(&mesh, "native-sidecar", Agent::new("native")).await?;
    assert_eq!(
        client.wait_for("peer_connected").await?["peer_id"],
        "native-sidecar"
    );
    // Agents of the old dialect register over REST, with their sidecar's key.
    let info: AgentInfo = serde_json::from_value(json!({
        "agent_id": "old", "hostname": "h", "sidecar_peer_id": "old-sidecar", "capabilities": { "skills": ["shout"] },
    }))?;
    let credential = seamesh_client::Credential::ApiKey(key);
    let registry = seamesh_client::Registry::of(None, mesh.url().parse()?, credential)?;
    registry.register_agent(&info).await?;
    native.knows("shout").await?;
    let view = native.view().clone();
    let asking = tokio::spawn(async move {
        view.delegate("shout", json!({ "message": "hey" }))
            .to("old")
            .timeout(cap())
            .reply()
            .await
    });
    let asked = client.wait_for("message").await?["message"].clone();
    assert_eq!(
        (&asked["type"], &asked["payload"]["skill"]),
        (&json!("task_request"), &json!("shout"))
    );
    let answer = json!({
        "type": "task_response", "request_id": asked["request_id"], "source_agent": "old", "target_agent": "native",
        "payload": { "result": "HEY", "error": "" },
    });
    client
        .say(
            "send",
            json!({ "target_peer": "native-sidecar", "message": answer }),
        )
        .await?;
    let reply = asking.await??;
    assert_eq!(
        (reply.result, reply.agent_id.as_str()),
        (json!("HEY"), "old")
    );
    Ok(())
}

#[tokio::test]
async fn a_prompt_passes_between_old_clients_with_every_field_they_sent() -> Checked {
    let mesh = Mesh::start().await?;
    let (one, two) = (mesh.sidecar("one").await?, mesh.sidecar("two").await?);
    let mut sender = OldClient::connect(&one.socket).await?;
    let mut receiver = OldClient::connect(&two.socket).await?;
    sender.wait_for("peer_connected").await?;
    receiver.wait_for("peer_connected").await?;
    let message = json!({
        "type": "agent_prompt", "request_id": "", "source_agent": "x", "target_agent": "*",
        "payload": { "message": "hi", "broadcast": true }, "from_the_future": [1, 2],
    });
    sender
        .say("broadcast", json!({ "message": message }))
        .await?;
    assert_eq!(
        receiver.wait_for("message").await?,
        json!({ "from_peer": "one", "message": message })
    );
    Ok(())
}
