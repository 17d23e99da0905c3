//! Links by way of a real TURN server, with the credentials that the registry makes.

use seamesh_agent::Path;
use seamesh_harness::Mesh;
use seamesh_proto::events::MeshEvent;
use seamesh_tests::{Checked, Member, Probe, TurnServer, in_time};
use serde_json::json;

const SECRET: &str = "between registry and relay";
const RELAY_ONLY: [(&str, &str); 1] = [("SEAMESH_RELAY_ONLY", "true")];

#[tokio::test]
async fn agents_that_hide_their_addresses_work_by_way_of_coturn_and_the_registry_says_so() -> Checked
{
    let place = tempfile::tempdir()?;
    let mut turn = TurnServer::start(SECRET, place.path()).await?;
    let mesh = Mesh::builder()
        .registry_arg("--turn-url")
        .registry_arg(turn.url())
        .registry_env("SEAMESH_TURN_SECRET", SECRET)
        .start()
        .await?;
    let mut watch = mesh.watch().await?;
    let asker = mesh.sidecar_with_env("asker", &RELAY_ONLY).await?;
    let asker = Member::behind(asker, Probe::agent("a").0).await?;
    let worker = mesh.sidecar_with_env("worker", &RELAY_ONLY).await?;
    let worker = Member::behind(worker, Probe::agent("b").0).await?;
    asker.linked_with(&["worker"]).await?;
    worker.linked_with(&["asker"]).await?;

    asker.knows("add").await?;
    let add = |b: u64| {
        asker
            .view()
            .delegate("add", json!({ "a": 20, "b": b }))
            .to("b")
            .reply()
    };
    let reply = add(22).await?;
    assert_eq!((reply.result, reply.path), (json!(42), Path::Direct));
    let up = |event: &MeshEvent| match event {
        MeshEvent::LinkUp(link) if link.relayed => Some(link.clone()),
        _ => None,
    };
    let told = in_time("a relayed link is told", watch.find(up)).await??;
    assert_eq!(
        (told.from_peer.as_str(), told.to_peer.as_str()),
        ("asker", "worker")
    );
    let edges = mesh.admin().topology().await?.mesh_edges;
    assert_eq!(
        edges.iter().map(|edge| edge.relayed).collect::<Vec<_>>(),
        [true]
    );

    // The relay goes, and with it the only way between the two; the work goes through the queue.
    turn.kill().await?;
    asker.linked_with(&[]).await?;
    let reply = add(3).await?;
    assert_eq!((reply.result, reply.path), (json!(23), Path::Queue));
    Ok(())
}
