//! Keys as an operator turns them over: in another's place, from the key file, and the key that signs tokens.

use anyhow::{Context, Result};
use seamesh_client::{Credential, Registry};
use seamesh_harness::Mesh;
use seamesh_proto::rest::{KeyAnswer, Role};
use seamesh_tests::Checked;
use serde_json::json;

use crate::command_line::{run, stderr, stdout};

/// What a line prints that does what it says.
async fn printed(mesh: &Mesh, arguments: &[&str]) -> Result<String> {
    let output = run(mesh, arguments).await?;
    assert!(output.status.success(), "{}", stderr(&output));
    Ok(stdout(&output))
}

/// The peer that a key is good for.
async fn peer_of(mesh: &Mesh, key: &str) -> Result<String> {
    let client = Registry::new(mesh.url().parse()?, Credential::ApiKey(key.to_owned()))?;
    Ok(client.token().await?.peer_id.to_string())
}

#[tokio::test]
async fn seam_rest_rotate_key_puts_a_key_in_anothers_place() -> Checked {
    let mesh = Mesh::start().await?;
    let old = mesh.key("turner", Role::Agent).await?;
    let keys = mesh.admin().keys().await?;
    let id = keys.iter().find(|key| key.peer_id.as_str() == "turner");
    let id = &id.context("its key")?.key_id;
    let made = printed(&mesh, &["keys", "rotate", id, "--overlap", "0", "--json"]).await?;
    let made: KeyAnswer = serde_json::from_str(&made)?;
    assert_eq!(peer_of(&mesh, &made.api_key).await?, "turner");
    assert!(peer_of(&mesh, &old).await.is_err(), "its time is over");
    Ok(())
}

#[tokio::test]
async fn seam_rest_reload_keys_takes_keys_from_the_file_as_it_is_now() -> Checked {
    let place = tempfile::tempdir()?;
    let file = place.path().join("api_keys.json");
    let entry = |peer: &str| json!({ "peer_id": peer, "role": "agent" });
    let write =
        |keys: serde_json::Value| std::fs::write(&file, json!({ "keys": keys }).to_string());
    write(json!({ "ak_goes": entry("leaver") }))?;
    let start = Mesh::builder().registry_arg("--api-keys");
    let mesh = start.registry_arg(&file).start().await?;
    assert_eq!(peer_of(&mesh, "ak_goes").await?, "leaver");
    write(json!({ "ak_comes": entry("comer") }))?;
    let change = printed(&mesh, &["keys", "reload"]).await?;
    assert_eq!(change.matches("added ").count(), 1, "{change}");
    assert_eq!(change.matches("revoked ").count(), 1, "{change}");
    assert_eq!(peer_of(&mesh, "ak_comes").await?, "comer");
    assert!(peer_of(&mesh, "ak_goes").await.is_err(), "it is gone");
    Ok(())
}

#[tokio::test]
async fn seam_rest_rotate_signing_signs_tokens_with_a_new_key() -> Checked {
    let mesh = Mesh::start().await?;
    let client = mesh.client("signed", Role::Agent).await?;
    let old = client.token().await?.token;
    let file = mesh.directory().join("registry/token.key");
    let before = std::fs::read(&file)?;
    let said = printed(&mesh, &["keys", "rotate-signing"]).await?;
    assert!(said.contains("signed with a new key"), "{said}");
    assert_ne!(std::fs::read(&file)?, before);
    // Who has a token of the old key is not turned away.
    let bearer = Registry::new(mesh.url().parse()?, Credential::Bearer(old))?;
    bearer.agents().await?;
    client.agents().await?;
    Ok(())
}
