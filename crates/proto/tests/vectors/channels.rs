//! How each channel parses a message and writes it again.

use seamesh_proto::events::EventRecord;
use seamesh_proto::ipc::{AgentCommand, AgentEvent};
use seamesh_proto::link::{AgentLink, MeshMessage};
use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::{
    AgentInfo, AgentRecord, Code, Problem, Task, WireError, audit, rest, routes, task,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::file::Vector;

/// Parses a message as its receiver does, acts out nothing, and writes what was understood.
pub(crate) fn rewrite(vector: &Vector, bytes: &[u8]) -> Result<Value, WireError> {
    match (vector.channel.as_str(), vector.direction.as_str()) {
        ("ipc", "agent_to_sidecar") => AgentCommand::parse(bytes).map(|m| value(&m)),
        ("ipc", "sidecar_to_agent") => AgentEvent::parse(bytes).map(|m| value(&m)),
        ("link", direction) => link(direction, bytes),
        ("signaling", direction) => signaling(direction, bytes),
        ("event_stream", "registry_to_watcher") => typed::<EventRecord>(bytes),
        ("rest", _) => rest(&vector.kind, bytes),
        other => panic!("{}: no channel and direction {other:?}", vector.path),
    }
}

fn value<T: Serialize>(message: &T) -> Value {
    serde_json::to_value(message).unwrap()
}

fn typed<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<Value, WireError> {
    let text =
        std::str::from_utf8(bytes).map_err(|e| WireError::new(Code::BadEncoding, e.to_string()))?;
    let message: T = serde_json::from_str(text).map_err(|e| WireError::from_json(&e))?;
    Ok(value(&message))
}

/// The envelope keeps everything; the body is checked by whoever acts on it, and must say the same.
fn link(direction: &str, bytes: &[u8]) -> Result<Value, WireError> {
    let message = MeshMessage::parse(bytes)?;
    let body = match direction {
        "sidecar_to_sidecar" => value(&message.sidecar_body()?),
        _ => {
            let payload = serde_json::value::to_raw_value(&message.payload).unwrap();
            value(&AgentLink::from_parts(&message.kind, Some(&payload))?)
        }
    };
    assert_eq!(body["type"], message.kind.as_str());
    Ok(value(&message))
}

fn signaling(direction: &str, bytes: &[u8]) -> Result<Value, WireError> {
    let frame = SignalFrame::parse(bytes)?;
    let again = match direction {
        "sidecar_to_registry" => {
            let signal = frame.client_signal()?;
            SignalFrame::from_client(frame.peer_id, frame.target_id, &signal)
        }
        // What the registry relays keeps its sender and receiver; what it says itself is from `registry`.
        _ => {
            let signal = frame.registry_signal()?;
            let mut again = SignalFrame::from_registry(&signal);
            if frame.target_id.is_some() {
                again.peer_id = frame.peer_id;
                again.target_id = frame.target_id;
            }
            again
        }
    };
    Ok(value(&again))
}

macro_rules! rest_types {
    ($($name:literal => $ty:ty),+ $(,)?) => {
        const REST_TYPES: &[&str] = &[$($name),+];

        fn rest(kind: &str, bytes: &[u8]) -> Result<Value, WireError> {
            match kind {
                $($name => typed::<$ty>(bytes),)+
                other => panic!("no REST type {other}: add it to rest_types!"),
            }
        }
    };
}

rest_types! {
    "Answer" => seamesh_proto::talk::Answer,
    "Problem" => Problem,
    "HealthAnswer" => rest::HealthAnswer,
    "TokenAnswer" => rest::TokenAnswer,
    "IceConfig" => rest::IceConfig,
    "AgentInfo" => AgentInfo,
    "AgentRecord" => AgentRecord,
    "Ok" => rest::Ok,
    "RouteQuery" => rest::RouteQuery,
    "HeartbeatBody" => rest::HeartbeatBody,
    "HeartbeatAnswer" => rest::HeartbeatAnswer,
    "SubmitTask" => task::SubmitTask,
    "SubmitAnswer" => rest::SubmitAnswer,
    "Task" => Task,
    "TaskUpdate" => rest::TaskUpdate,
    "TaskQuery" => rest::TaskQuery,
    "TaskPage" => rest::TaskPage,
    "ChunkPage" => rest::ChunkPage,
    "ChunksQuery" => rest::ChunksQuery,
    "HistoryQuery" => rest::HistoryQuery,
    "TaskHistory" => rest::TaskHistory,
    "WaitQuery" => rest::WaitQuery,
    "Topology" => rest::Topology,
    "HubState" => rest::HubState,
    "EventsQuery" => rest::EventsQuery,
    "SessionBody" => rest::SessionBody,
    "SessionAnswer" => rest::SessionAnswer,
    "SessionRecord" => rest::SessionRecord,
    "Settings" => rest::Settings,
    "LoginLink" => rest::LoginLink,
    "PasswordBody" => rest::PasswordBody,
    "AuditQuery" => audit::AuditQuery,
    "AuditPage" => audit::AuditPage,
    "RotateBody" => rest::RotateBody,
    "ReloadAnswer" => rest::ReloadAnswer,
    "KeyBody" => rest::KeyBody,
    "KeyAnswer" => rest::KeyAnswer,
    "KeyRecord" => rest::KeyRecord,
    "InviteBody" => rest::InviteBody,
    "InviteAnswer" => rest::InviteAnswer,
    "IdentityBody" => rest::IdentityBody,
    "IdentityAnswer" => rest::IdentityAnswer,
    "CertifyBody" => rest::CertifyBody,
    "StatusQuery" => rest::StatusQuery,
    "StatusAnswer" => rest::StatusAnswer,
    "PairBody" => rest::PairBody,
    "PairAnswer" => rest::PairAnswer,
    "OnboardingEntry" => rest::OnboardingEntry,
    "ApproveAnswer" => rest::ApproveAnswer,
}

/// `rest/direction/kind` of every body, query and answer in the route table.
pub(crate) fn rest_kinds() -> Vec<String> {
    let mut generator = schemars::SchemaGenerator::default();
    let mut kinds = vec!["rest/answer/Problem".to_owned()];
    for route in routes::ROUTES {
        let members = [
            (route.query, "request"),
            (route.body, "request"),
            (route.answer, "answer"),
        ];
        for (schema, direction) in members {
            let Some(name) = schema.and_then(|make| referenced(&make(&mut generator).to_value()))
            else {
                continue;
            };
            assert!(
                REST_TYPES.contains(&name.as_str()),
                "add {name} to rest_types!"
            );
            kinds.push(format!("rest/{direction}/{name}"));
        }
    }
    kinds
}

fn referenced(schema: &Value) -> Option<String> {
    let target = schema
        .get("$ref")
        .or_else(|| schema.pointer("/items/$ref"))?;
    target.as_str()?.rsplit('/').next().map(str::to_owned)
}
