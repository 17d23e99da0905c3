//! API keys: made, listed, revoked by an admin.

use seamesh_proto::ids::REGISTRY_PEER;
use seamesh_proto::rest::{KeyAnswer, KeyBody, Ok as Done};
use seamesh_proto::{Code, Problem};
use seamesh_registry_core::Op;

use super::call::{Answer, Call, json};
use super::problem::Failure;
use crate::keyring::{Key, MAX_KEYS, Origin};
use crate::secret;
use crate::store::AccessWrite;

pub(super) async fn create(call: Call) -> Answer {
    let KeyBody { peer_id, role } = call.json()?;
    if peer_id.as_str() == REGISTRY_PEER {
        let detail = "peer_id: `registry` is the registry's own";
        return Err(Failure::new(Code::BadField, detail));
    }
    if call.app.keyring.len() >= MAX_KEYS {
        let detail = format!("there are {MAX_KEYS} API keys; revoke some first");
        return Err(Failure::new(Code::Overloaded, detail));
    }
    let api_key = secret::random_text("ak_")
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let hash = secret::hash(&api_key);
    let key = Key {
        key_id: format!("key-{}", secret::short_name(&hash)),
        peer_id: peer_id.clone(),
        role,
        created_ms: call.app.clock.now().0,
        hash,
        origin: Origin::Made,
    };
    let key_id = key.key_id.clone();
    call.write(AccessWrite::InsertKey(key.clone())).await?;
    call.app.keyring.insert(key);
    tracing::info!(%key_id, %peer_id, ?role, "made an API key");
    Ok(json(&KeyAnswer {
        key_id,
        api_key,
        peer_id,
        role,
    }))
}

pub(super) async fn list(call: Call) -> Answer {
    Ok(json(&call.app.keyring.list()))
}

pub(super) async fn revoke(call: Call) -> Answer {
    let key_id = call.param("key_id");
    let Some(key) = call.app.keyring.by_id(key_id) else {
        return Err(Failure::new(Code::NotFound, "no such API key"));
    };
    let elsewhere = match key.origin {
        Origin::Made => None,
        Origin::AdminFile => {
            Some("delete admin.key in the data directory and restart the registry")
        }
        Origin::KeyFile => Some("take it out of the key file and restart the registry"),
    };
    if let Some(detail) = elsewhere {
        return Err(Failure::new(Code::Conflict, detail));
    }
    call.write(AccessWrite::RemoveKey {
        hash: key.hash,
        key_id: key.key_id.clone(),
    })
    .await?;
    call.app.keyring.remove(&key.hash);
    call.app.credential_revoked(&key.key_id);
    let peer = key.peer_id.clone();
    call.ask(Op::CloseCaller { peer }).await?;
    tracing::info!(key_id = %key.key_id, peer_id = %key.peer_id, "revoked an API key");
    Ok(json(&Done::default()))
}
