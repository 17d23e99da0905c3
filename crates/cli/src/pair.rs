//! `seamesh pair`: a new machine joins a mesh.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use seamesh_client::{ClientError, Credential, Registry, RegistryUrl};
use seamesh_identity::{IdentityFile, Membership, digest, is_signed_by, names_root, random_secret};
use seamesh_proto::identity::pair_statement;
use seamesh_proto::invite::Invite;
use seamesh_proto::rest::{NewcomerIdentity, PairAnswer, PairBody, PairingStatus, StatusAnswer};

use crate::credentials::{Credentials, private_directory};
use crate::manifest::Manifest;
use crate::serving;

/// Seconds between two attempts to reach a registry that is away.
const RETRY_S: u64 = 2;

/// Options of `seamesh pair`.
#[derive(Debug, Args)]
#[command(
    after_help = "Makes the agent's identity key, redeems the invite and waits until an administrator approves. Then \
    `seamesh run` needs nothing more."
)]
pub(crate) struct PairArgs {
    /// The invite or join token.
    #[arg(env = "SEAMESH_INVITE", hide_env_values = true)]
    code: String,
    /// The manifest, or its directory.
    #[arg(default_value = "agent.yaml")]
    manifest: PathBuf,
    /// The registry's address, instead of the manifest's.
    #[arg(long, env = "SEAMESH_REGISTRY", value_name = "URL")]
    registry: Option<RegistryUrl>,
    /// Print one JSON object once it is decided.
    #[arg(long)]
    json: bool,
}

/// Joins, and waits for the decision.
///
/// # Errors
/// Why it did not get in.
pub(crate) async fn run(args: PairArgs) -> Result<()> {
    let invite: Invite = args.code.parse()?;
    let manifest = Manifest::load(&args.manifest)?;
    let url = args.registry.unwrap_or_else(|| manifest.registry.clone());
    let registry = Registry::new(url.clone(), Credential::None)?;
    private_directory(&manifest.data_dir)?;
    let mut file = IdentityFile::open_or_make(&manifest.data_dir.join("identity.json"))?;
    let device_token = random_secret("dt_")?;
    let token_digest = digest(&device_token);
    let statement = pair_statement(manifest.name.as_str(), &token_digest);
    let identity = NewcomerIdentity {
        key: file.key().public(),
        signature: file.key().sign(&statement),
        token_digest,
    };
    let body = PairBody {
        code: invite.secret().to_owned(),
        agent_name: manifest.name.to_string(),
        identity: Some(identity),
    };
    let paired = registry.pair(&body).await?;
    if !args.json {
        let (peer, key) = (&paired.peer_id, file.key().public().short());
        serving::print(&format!(
            "{peer} asks to join {url}\nkey      {key}  (the administrator sees the same)"
        ))?;
        if paired.status == PairingStatus::PendingApproval {
            serving::print(&format!(
                "waiting  for an administrator: seamesh approve {}",
                paired.id
            ))?;
        }
    }
    let answer = decided(&registry, &paired, &device_token, &invite).await?;
    let certificate = answer
        .certificate
        .context("approved without a certificate")?;
    let is_ours = certificate.key == file.key().public() && certificate.peer_id == answer.peer_id;
    if !is_ours || !is_signed_by(&answer.root, &certificate) {
        bail!(
            "the certificate is not the root key's word about this agent's key: this registry is not to be trusted"
        );
    }
    // The key's file last: with it the agent counts as joined.
    Credentials::open(&manifest.data_dir)?.put_device_token(&url.to_string(), &device_token)?;
    let (root, certificate) = (answer.root, Some(certificate));
    file.put(&url.to_string(), Membership { root, certificate })?;
    if args.json {
        let joined = serde_json::json!({"id": paired.id, "peer_id": answer.peer_id, "status": "approved", "registry": url.to_string()});
        return serving::print(&joined.to_string());
    }
    if url != manifest.registry {
        serving::print(&format!(
            "note     {} names another registry; set `registry: {url}` there",
            manifest.path.display()
        ))?;
    }
    serving::print(&format!("approved {} is in: seamesh run", answer.peer_id))
}

/// Waits until somebody decides. The root key must be the invite's from the first answer on.
async fn decided(
    registry: &Registry,
    paired: &PairAnswer,
    device_token: &str,
    invite: &Invite,
) -> Result<StatusAnswer> {
    let mut is_checked = false;
    loop {
        // A code for another mesh is told at once, not after the first long poll.
        let slice = match is_checked {
            false => Duration::from_millis(1),
            true => Duration::from_secs(30),
        };
        let answer = match registry
            .pairing_status(&paired.id, device_token, slice)
            .await
        {
            Ok(answer) => answer,
            // A registry that is started again still knows who waits.
            Err(ClientError::Unreachable { .. }) => {
                tokio::time::sleep(Duration::from_secs(RETRY_S)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !is_checked && !names_root(invite, &answer.root) {
            bail!(
                "the registry's root key is not the one that the invite names: either the second half of the code was \
                 mistyped, or this is not the registry that the invite is for. Ask for a new invite"
            );
        }
        is_checked = true;
        match answer.status {
            PairingStatus::PendingApproval => {}
            PairingStatus::Approved => return Ok(answer),
            PairingStatus::Rejected => bail!("an administrator refused this agent"),
            PairingStatus::Revoked => bail!("this agent's access was revoked"),
        }
    }
}
