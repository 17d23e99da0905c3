//! What lets the agent in.

use anyhow::{Context as _, Result, bail};
use seamesh_client::{ClientError, Credential, Registry};
use seamesh_identity::{IdentityFile, Membership};
use seamesh_proto::rest::{IdentityBody, KeyBody, Role};
use seamesh_proto::{Code, PeerId};

use super::Project;
use crate::access::admin_key;
use crate::credentials::Credentials;

impl Project {
    /// What lets the agent in: given, from pairing, stored, or made now.
    pub(super) async fn credential(&self) -> Result<Credential> {
        if let Some(given) = &self.given.key {
            let credential = Credential::ApiKey(given.key.clone());
            return match self.client(credential.clone())?.token().await {
                // Away for now: the sidecar waits for it.
                Ok(_) | Err(ClientError::Unreachable { .. }) => Ok(credential),
                Err(error) => {
                    Err(error).with_context(|| format!("the key from {} is refused", given.place))
                }
            };
        }
        let mut stored = Credentials::open(&self.manifest.data_dir)?;
        let registry = self.given.registry.to_string();
        if let Some(token) = stored.device_token(&registry) {
            let credential = Credential::DeviceToken(token);
            return match self.client(credential.clone())?.token().await {
                Ok(_) | Err(ClientError::Unreachable { .. }) => Ok(credential),
                Err(error) if error.code() == Code::Unauthorized => Err(error).context(
                    "the registry does not let this agent in any more: its access was revoked. Join anew with `seamesh \
                     pair`",
                ),
                Err(error) => Err(error.into()),
            };
        }
        self.key(&mut stored, registry)
            .await
            .map(Credential::ApiKey)
    }

    /// The agent's key: stored, or made now with the administrator's.
    async fn key(&self, stored: &mut Credentials, registry: String) -> Result<String> {
        if let Some(key) = stored.get(&registry) {
            match self.client(Credential::ApiKey(key.clone()))?.token().await {
                Ok(answer) => {
                    self.certify_once(&answer.peer_id).await?;
                    return Ok(key);
                }
                Err(ClientError::Unreachable { .. }) => return Ok(key),
                Err(error) if error.code() == Code::Unauthorized => {
                    self.say("key       the stored one is no longer known to the registry")?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(admin) = self.admin()? else {
            bail!(
                "no credential for {registry}: join with `seamesh pair CODE` (an administrator makes the code with `seamesh \
                 invite`), or set SEAMESH_API_KEY"
            );
        };
        // The name existing agents guess for the sidecar of an agent.
        let peer_id = format!("{}-sidecar", self.manifest.name).parse()?;
        let role = Role::Agent;
        let made = admin.create_key(&KeyBody { peer_id, role }).await?;
        stored.put(&registry, &made.api_key)?;
        self.certify(&admin, &made.peer_id).await?;
        self.say(&format!(
            "key       {} made for {}, kept in {}",
            made.key_id,
            made.peer_id,
            self.manifest.data_dir.display()
        ))?;
        Ok(made.api_key)
    }

    /// Gives an agent its identity that got its key before there were any.
    async fn certify_once(&self, peer_id: &PeerId) -> Result<()> {
        match self.admin()? {
            Some(admin) if !self.identity_path().exists() => self.certify(&admin, peer_id).await,
            _ => Ok(()),
        }
    }

    /// Makes the agent's identity and has it signed. Where the root key is kept elsewhere the agent has none.
    async fn certify(&self, admin: &Registry, peer_id: &PeerId) -> Result<()> {
        let mut file = IdentityFile::open_or_make(&self.identity_path())?;
        let body = IdentityBody {
            peer_id: peer_id.clone(),
            key: file.key().public(),
        };
        match admin.certify(&body).await {
            Ok(signed) => {
                let membership = Membership {
                    root: signed.root,
                    certificate: Some(signed.certificate),
                };
                Ok(file.put(&self.given.registry.to_string(), membership)?)
            }
            Err(error) if error.code() == Code::Conflict => self.say(
                "warning: no identity, because the mesh's root key is kept elsewhere; join with `seamesh pair`",
            ),
            Err(error) => Err(error.into()),
        }
    }

    /// An administrator's client, when the registry is on this machine and this user's.
    pub(super) fn admin(&self) -> Result<Option<Registry>> {
        let key = match self.given.registry.is_loopback() {
            true => admin_key(&self.registry_data),
            false => None,
        };
        key.map(|key| self.client(Credential::ApiKey(key)))
            .transpose()
    }
}
