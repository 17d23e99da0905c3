//! What the registry says of itself and of the whole mesh.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use seamesh_proto::Problem;
use seamesh_proto::agent::Health;
use seamesh_proto::limits::DEFAULT_PAGE;
use seamesh_proto::rest::{HealthAnswer, HubState, TaskQuery};
use seamesh_registry_core::store::StoredTask;
use seamesh_registry_core::{Op, Reply};

use super::call::{Answer, Call, json, json_text};
use super::problem::Failure;
use crate::metrics::Exposition;

/// The document that `cargo xtask gen` writes from the route table.
const OPENAPI: &str = include_str!("../../../../schema/openapi.json");

pub(super) async fn health(_: Call) -> Answer {
    Ok(json(&HealthAnswer {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

pub(super) async fn openapi(_: Call) -> Answer {
    Ok(json_text(OPENAPI.as_bytes().to_vec()))
}

pub(super) async fn ice_config(call: Call) -> Answer {
    let (peer, _) = call.identity()?;
    Ok(json(&call.app.ice.config(&peer, call.app.clock.now_s())))
}

pub(super) async fn topology(call: Call) -> Answer {
    match call.ask(Op::Topology).await? {
        Reply::Topology(topology) => Ok(json(&topology)),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn settings(call: Call) -> Answer {
    Ok(json(&call.app.settings))
}

/// The event number is read first: what is newer in the rest of the answer comes again as an event, and an event says
/// how things are, not how they changed.
pub(super) async fn hub_state(call: Call) -> Answer {
    let reader = &call.app.reader;
    let bounds = reader.event_bounds().await.map_err(Problem::from)?;
    let page = reader.tasks(TaskQuery::default(), None, DEFAULT_PAGE, false);
    let page = page.await.map_err(Problem::from)?;
    match call.ask(Op::HubLive).await? {
        Reply::HubLive {
            agents,
            links,
            newcomers,
        } => Ok(json(&HubState {
            seq: bounds.map_or(0, |(_, last)| last),
            agents,
            tasks: page.tasks.iter().map(StoredTask::summary).collect(),
            links,
            newcomers,
        })),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn metrics(call: Call) -> Answer {
    let app = &call.app;
    let mut text = Exposition::default();
    app.metrics.write(&mut text);
    let counters = app.writer.counters();
    let store = [
        ("commits", "Writes made durable.", &counters.commits),
        ("fsyncs", "Transactions, each one fsync.", &counters.fsyncs),
        ("failures", "Transactions that failed.", &counters.failures),
    ];
    for (name, help, value) in store {
        text.counter(
            &format!("seamesh_store_{name}_total"),
            help,
            value.load(Relaxed),
        );
    }
    let last_seq = app.writer.progress().borrow().last_seq;
    text.counter(
        "seamesh_events_total",
        "Number of the last event.",
        last_seq,
    );
    let sockets = app.sockets.len();
    text.gauge(
        "seamesh_signaling_sockets",
        "Open signaling sockets.",
        sockets,
    );
    write_tasks(
        &mut text,
        app.reader.tasks_by_state().await.map_err(Problem::from)?,
    );
    write_mesh(&mut text, call.ask(Op::HubLive).await?)?;
    let mut response = text.finish().into_response();
    let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    Ok(response)
}

fn write_tasks(text: &mut Exposition, counts: Vec<(String, i64)>) {
    let mut by_state: BTreeMap<String, i64> = counts.into_iter().collect();
    let all = by_state.remove("all").unwrap_or(0);
    // Completed tasks are what is left: counting them would walk the whole table's index twice.
    by_state.insert("completed".to_owned(), all - by_state.values().sum::<i64>());
    text.head("seamesh_tasks", "gauge", "Tasks in the store, by state.");
    for (state, count) in by_state {
        text.sample("seamesh_tasks", &[("state", &state)], count);
    }
}

fn write_mesh(text: &mut Exposition, reply: Reply) -> Result<(), Failure> {
    let Reply::HubLive { agents, links, .. } = reply else {
        return Err(Failure::unexpected(&reply));
    };
    text.head("seamesh_agents", "gauge", "Agents, by health.");
    let healths = [
        (Health::Active, "active"),
        (Health::Stale, "stale"),
        (Health::Offline, "offline"),
    ];
    for (health, name) in healths {
        let count = agents.iter().filter(|a| a.health == health).count();
        text.sample("seamesh_agents", &[("health", name)], count);
    }
    text.gauge("seamesh_links", "Open links between sidecars.", links.len());
    Ok(())
}
