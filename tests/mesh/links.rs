//! One link per pair, whoever dials, whatever dies.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use seamesh_agent::{Agent, Via};
use seamesh_harness::Mesh;
use seamesh_proto::events::MeshEvent;
use seamesh_tests::{Checked, Member, Probe, SignalingPeer, in_time};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Sidecars that start at once.
const CROWD: usize = 10;

#[tokio::test]
async fn ten_sidecars_at_once_have_one_link_per_pair_and_a_message_crosses_each_both_ways()
-> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let starting = (0..CROWD).map(|n| async move {
        let (seen, messages) = mpsc::unbounded_channel();
        let agent = Agent::new(format!("a{n}")).on_message(move |_, message| {
            // The test may have failed already.
            let _ = seen.send(message.from_peer);
        });
        (agent, messages, n)
    });
    let mut crowd = Vec::new();
    let keys = {
        let mut keys = Vec::new();
        for n in 0..CROWD {
            keys.push(
                mesh.key(&format!("p{n}"), seamesh_proto::rest::Role::Agent)
                    .await?,
            );
        }
        keys
    };
    let mesh = &mesh;
    let joining = starting.zip(keys).map(|(one, key)| async move {
        let (agent, messages, n) = one.await;
        let sidecar = mesh.sidecar_with_key(&format!("p{n}"), key).await?;
        anyhow::Ok((Member::behind(sidecar, agent).await?, messages))
    });
    for joined in all(joining.collect()).await {
        crowd.push(joined?);
    }
    for (member, _) in &crowd {
        member.links(|links| links.len() == CROWD - 1).await?;
        member.view().broadcast("hello").await?;
    }
    for (member, messages) in &mut crowd {
        let mut from = BTreeSet::new();
        for _ in 0..CROWD - 1 {
            let peer = in_time("a message", messages.recv()).await?.unwrap();
            assert!(
                from.insert(peer),
                "two from one: {} has two links",
                member.sidecar.peer_id
            );
        }
    }
    Ok(watch.links(CROWD * (CROWD - 1) / 2).await?)
}

/// Runs futures at the same time, in this task.
async fn all<T>(mut work: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = work.drain(..).map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (slot, future) in done.iter_mut().zip(&mut pinned) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *slot = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_killed_and_restarted_sidecar_is_linked_again_at_once_and_stays_linked() -> Checked {
    let mesh = Mesh::start().await?;
    let alpha = Member::join(&mesh, "alpha", Agent::new("a")).await?;
    let mut beta = Member::join(&mesh, "beta", Probe::agent("b").0).await?;
    alpha.linked_with(&["beta"]).await?;
    alpha.knows("add").await?;
    let mut watch = mesh.watch().await?;
    beta.sidecar.process.kill().await?;
    let restarted = Instant::now();
    mesh.restart_sidecar(&mut beta.sidecar).await?;
    // The agent's own view: the old link ends before the new one opens, and the new one works.
    let ask = || {
        alpha
            .view()
            .delegate("add", json!({ "a": 1, "b": 1 }))
            .to("b")
            .via(Via::Direct)
    };
    let again = async {
        loop {
            if ask().get::<i64>().await.is_ok() {
                return;
            }
        }
    };
    in_time("direct work again", again).await?;
    assert!(
        restarted.elapsed() < Duration::from_secs(5),
        "took {:?}",
        restarted.elapsed()
    );
    for _ in 0..200 {
        assert_eq!(ask().get::<i64>().await?, 2);
    }
    alpha.linked_with(&["beta"]).await?;
    Ok(
        // As the registry was told: down and up again, or never noticed as down; but linked in the end.
        watch.links(1).await?,
    )
}

#[tokio::test]
async fn a_link_that_is_lost_is_told_once_to_agent_and_registry() -> Checked {
    let mesh = Mesh::start().await?;
    let mut watch = mesh.watch().await?;
    let alpha = Member::join(&mesh, "alpha", Agent::new("a")).await?;
    let mut beta = Member::join(&mesh, "beta", Agent::new("b")).await?;
    watch.links(1).await?;
    alpha.linked_with(&["beta"]).await?;
    beta.crash();
    beta.sidecar.process.terminate().await?;
    alpha.linked_with(&[]).await?;
    Ok(watch
        .find(|event| matches!(event, MeshEvent::LinkDown(_)).then_some(()))
        .await?)
}

#[tokio::test]
async fn a_malformed_description_is_that_peers_error_and_nobody_elses() -> Checked {
    let mesh = Mesh::start().await?;
    let alpha = Member::join(&mesh, "alpha", Agent::new("a")).await?;
    let beta = Member::join(&mesh, "beta", Probe::agent("b").0).await?;
    alpha.linked_with(&["beta"]).await?;
    alpha.knows("add").await?;
    let mut liar = SignalingPeer::join(&mesh, "liar").await?;
    for payload in [
        json!({ "sdp": "v=0\r\nnonsense" }),
        json!({ "sdp": "x".repeat(100_000) }),
        json!({ "sdp": 7 }),
        Value::Null,
    ] {
        for target in [&alpha.sidecar.peer_id, &beta.sidecar.peer_id] {
            liar.say("offer", Some(target), payload.clone()).await?;
            liar.say("answer", Some(target), payload.clone()).await?;
            let candidate = json!({ "candidate": payload.clone() });
            liar.say("ice_candidate", Some(target), candidate).await?;
        }
    }
    // Both dial the liar in their turn, as they do whenever an attempt ended: they saw what it sent, and live.
    let mut dialed = BTreeSet::new();
    while dialed.len() < 2 {
        dialed.insert(liar.wait_for("offer").await?.peer_id);
    }
    assert!(dialed.contains("alpha") && dialed.contains("beta"));
    let newcomer = Member::join(&mesh, "newcomer", Agent::new("n")).await?;
    newcomer.links(|links| links.len() == 2).await?;
    let sum: i64 = alpha
        .view()
        .delegate("add", json!({ "a": 1, "b": 1 }))
        .to("b")
        .via(Via::Direct)
        .get()
        .await?;
    assert_eq!(sum, 2);
    Ok(())
}
