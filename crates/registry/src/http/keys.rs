//! API keys: made, listed, rotated, revoked by an admin; the key file read again; the signing key rotated.

use std::sync::Arc;

use seamesh_proto::ids::REGISTRY_PEER;
use seamesh_proto::limits::{KEY_OVERLAP_S, MAX_KEY_OVERLAP_S};
use seamesh_proto::rest::{KeyAnswer, KeyBody, Ok as Done, ReloadAnswer, Role, RotateBody};
use seamesh_proto::{Code, PeerId, Problem};

use super::call::{Answer, Call, json};
use super::problem::Failure;
use crate::audit::Action;
use crate::auth::role_name;
use crate::data_dir::replace_secret;
use crate::key_file;
use crate::keyring::{Key, MAX_KEYS, Origin};
use crate::secret;
use crate::store::AccessWrite;

pub(super) async fn create(call: Call) -> Answer {
    let KeyBody { peer_id, role } = call.json()?;
    if peer_id.as_str() == REGISTRY_PEER {
        let detail = "peer_id: `registry` is the registry's own";
        return Err(Failure::new(Code::BadField, detail));
    }
    let (key, answer) = make(&call, peer_id, role)?;
    let detail = format!("for {}, {}", key.peer_id, role_name(role));
    let entry = call.entry(Action::KeyMade, &key.key_id, detail);
    call.write(AccessWrite::InsertKey(key.clone()), entry)
        .await?;
    tracing::info!(key_id = %key.key_id, peer_id = %key.peer_id, ?role, "made an API key");
    call.app.keyring.insert(key);
    Ok(json(&answer))
}

/// A new key, and the answer that shows its secret.
fn make(call: &Call, peer_id: PeerId, role: Role) -> Result<(Key, KeyAnswer), Failure> {
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
        expires: None,
        hash,
        origin: Origin::Made,
    };
    let answer = KeyAnswer {
        key_id: key.key_id.clone(),
        api_key,
        peer_id,
        role,
    };
    Ok((key, answer))
}

pub(super) async fn list(call: Call) -> Answer {
    Ok(json(&call.app.keyring.list()))
}

/// The made key that the path names.
fn made_key(call: &Call) -> Result<Arc<Key>, Failure> {
    let found = call
        .app
        .keyring
        .by_id(call.param("key_id"), call.app.clock.now());
    let key = found.ok_or_else(|| Failure::new(Code::NotFound, "no such API key"))?;
    let elsewhere = match key.origin {
        Origin::Made => return Ok(key),
        Origin::AdminFile => "delete admin.key in the data directory and restart the registry",
        Origin::KeyFile => "change the key file, then `seamesh keys reload`",
    };
    Err(Failure::new(Code::Conflict, elsewhere))
}

pub(super) async fn rotate(call: Call) -> Answer {
    let overlap_s = call
        .json::<RotateBody>()?
        .overlap_s
        .unwrap_or(KEY_OVERLAP_S);
    if overlap_s > MAX_KEY_OVERLAP_S {
        let detail = format!("overlap_s is 0 to {MAX_KEY_OVERLAP_S}");
        return Err(Failure::new(Code::BadField, detail));
    }
    let old = made_key(&call)?;
    if old.expires.is_some() {
        let detail = "another key has taken its place already";
        return Err(Failure::new(Code::Conflict, detail));
    }
    let (new, answer) = make(&call, old.peer_id.clone(), old.role)?;
    let expires = call.app.clock.now().plus(overlap_s * 1000);
    let detail = format!(
        "{} takes its place, in {overlap_s} s at the latest",
        new.key_id
    );
    let writes = vec![
        AccessWrite::InsertKey(new.clone()),
        AccessWrite::EndKey {
            hash: old.hash,
            expires,
        },
        AccessWrite::Audit(call.entry(Action::KeyRotated, &old.key_id, detail)),
    ];
    let written = call.app.writer.access(writes).await;
    written.map_err(Problem::from)?;
    tracing::info!(old = %old.key_id, new = %new.key_id, overlap_s, "rotated an API key");
    call.app.keyring.insert(new);
    // The task that ends keys takes it out when its time comes, perhaps now.
    call.app.keyring.insert(Key {
        expires: Some(expires),
        ..Key::clone(&old)
    });
    Ok(json(&answer))
}

pub(super) async fn revoke(call: Call) -> Answer {
    let key = made_key(&call)?;
    let write = AccessWrite::RemoveKey {
        hash: key.hash,
        key_id: key.key_id.clone(),
    };
    let detail = format!("of {}, {}", key.peer_id, role_name(key.role));
    let entry = call.entry(Action::KeyRevoked, &key.key_id, detail);
    call.write(write, entry).await?;
    call.app.keyring.remove(&key.hash);
    call.app.key_is_gone(&key).await?;
    tracing::info!(key_id = %key.key_id, peer_id = %key.peer_id, "revoked an API key");
    Ok(json(&Done::default()))
}

pub(super) async fn reload(call: Call) -> Answer {
    let Some(path) = call.app.key_file.clone() else {
        let detail = "this registry was started without a key file (--api-keys)";
        return Err(Failure::new(Code::Conflict, detail));
    };
    let now_ms = call.app.clock.now().0;
    let read = tokio::task::spawn_blocking(move || key_file::read(&path, now_ms)).await;
    let read = read.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    // The file's path and content are the operator's: only the operator's own mistake is told.
    let read = read.map_err(|error| {
        let detail = format!("the key file was not taken, and nothing changed: {error}");
        Failure::new(Code::Conflict, detail)
    })?;
    let change = call.app.keyring.compare_file(read);
    let names =
        |keys: &[Arc<Key>]| -> Vec<String> { keys.iter().map(|key| key.key_id.clone()).collect() };
    let answer = ReloadAnswer {
        added: names(&change.added),
        revoked: names(&change.removed),
    };
    let detail = format!(
        "added: {}; revoked: {}",
        answer.added.join(" "),
        answer.revoked.join(" ")
    );
    call.record(call.entry(Action::KeyFileRead, "", detail))
        .await?;
    call.app.keyring.apply_file(&change);
    for key in &change.removed {
        call.app.key_is_gone(key).await?;
    }
    tracing::info!(
        added = change.added.len(),
        revoked = change.removed.len(),
        "read the key file again"
    );
    Ok(json(&answer))
}

pub(super) async fn rotate_signing(call: Call) -> Answer {
    call.record(call.entry(Action::SigningKeyRotated, "", ""))
        .await?;
    let file = call.app.token_file.clone();
    let made = tokio::task::spawn_blocking(move || replace_secret(&file)).await;
    let made = made.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let secret = made.map_err(|error| {
        tracing::error!(%error, "the signing key was not replaced");
        let detail = "the new signing key could not be written; the old one goes on";
        Failure::new(Code::StoreUnavailable, detail)
    })?;
    let now_s = call.app.clock.now_s();
    call.app.signer.rotate(secret.as_bytes(), now_s);
    tracing::info!("rotated the key that signs tokens");
    Ok(json(&Done::default()))
}
