//! The routes, one method each.

use std::time::{Duration, Instant};

use reqwest::Method;
use seamesh_proto::audit::{AuditPage, AuditQuery};
use seamesh_proto::rest::{
    ApproveAnswer, CertifyBody, HealthAnswer, HistoryQuery, HubState, IceConfig, IdentityAnswer,
    IdentityBody, InviteAnswer, InviteBody, KeyAnswer, KeyBody, KeyRecord, LoginLink, Ok as Done,
    OnboardingEntry, PairAnswer, PairBody, PasswordBody, ReloadAnswer, RotateBody, StatusAnswer,
    StatusQuery, SubmitAnswer, TaskHistory, TaskPage, TaskQuery, Topology, WaitQuery,
};
use seamesh_proto::talk::Answer;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{AgentId, AgentInfo, AgentRecord, Task, TaskId};
use serde_json::json;

use crate::error::ClientError;
use crate::registry::Registry;

/// Milliseconds one `wait` request stays open. Under the registry's cap (60,000), so that proxies do not cut it.
pub const WAIT_SLICE_MS: u64 = 25_000;

/// Milliseconds a `wait` request may take beyond what it asked for.
const WAIT_SLACK_MS: u64 = 10_000;

/// Every method fails with [`ClientError::Unreachable`] when the registry is away and with
/// [`ClientError::Problem`] when it refuses.
impl Registry {
    /// Whether the registry serves (`GET /healthz`).
    pub async fn health(&self) -> Result<HealthAnswer, ClientError> {
        self.get(&["healthz"]).await
    }

    /// STUN and TURN servers, with credentials (`GET /api/config`).
    pub async fn ice_config(&self) -> Result<IceConfig, ClientError> {
        self.get(&["api", "config"]).await
    }

    /// Every agent, by id (`GET /api/registry/agents`).
    pub async fn agents(&self) -> Result<Vec<AgentRecord>, ClientError> {
        self.get(&["api", "registry", "agents"]).await
    }

    /// One agent; `agent_unknown` when there is none of that name.
    pub async fn agent(&self, id: &AgentId) -> Result<AgentRecord, ClientError> {
        self.get(&["api", "registry", "agents", id.as_str()]).await
    }

    /// Registers the agent of this client's credential, or replaces its record (`POST /api/registry/agents`): for
    /// agents without a sidecar that does it.
    pub async fn register_agent(&self, agent: &AgentInfo) -> Result<(), ClientError> {
        let path = ["api", "registry", "agents"];
        self.post::<Done>(&path, agent).await.map(drop)
    }

    /// Removes an agent (`DELETE /api/registry/agents/{agent_id}`).
    pub async fn remove_agent(&self, id: &AgentId) -> Result<(), ClientError> {
        let path = ["api", "registry", "agents", id.as_str()];
        self.delete::<Done>(&path).await.map(drop)
    }

    /// Puts a task into the durable queue (`POST /api/hub/tasks`). It is durable when this returns.
    pub async fn submit(&self, task: &SubmitTask) -> Result<TaskId, ClientError> {
        let answer: SubmitAnswer = self.post(&["api", "hub", "tasks"], task).await?;
        Ok(answer.task_id)
    }

    /// Tasks, newest first, filtered and paged (`GET /api/hub/tasks`).
    pub async fn tasks(&self, query: &TaskQuery) -> Result<TaskPage, ClientError> {
        self.get_with(&["api", "hub", "tasks"], query).await
    }

    /// One task; `task_unknown` when there is none of that id.
    pub async fn task(&self, id: &TaskId) -> Result<Task, ClientError> {
        self.get(&["api", "hub", "tasks", id.as_str()]).await
    }

    /// What happened to a task, oldest first and paged (`GET /api/hub/tasks/{task_id}/history`).
    pub async fn task_history(
        &self,
        id: &TaskId,
        query: &HistoryQuery,
    ) -> Result<TaskHistory, ClientError> {
        let path = ["api", "hub", "tasks", id.as_str(), "history"];
        self.get_with(&path, query).await
    }

    /// Cancels a task (`POST /api/hub/tasks/{task_id}/cancel`).
    pub async fn cancel(&self, id: &TaskId) -> Result<(), ClientError> {
        let path = ["api", "hub", "tasks", id.as_str(), "cancel"];
        self.post::<Done>(&path, &json!({})).await.map(drop)
    }

    /// Answers the open question of a task (`POST /api/hub/tasks/{task_id}/input`).
    pub async fn answer_task(&self, id: &TaskId, answer: &Answer) -> Result<(), ClientError> {
        let path = ["api", "hub", "tasks", id.as_str(), "input"];
        self.post::<Done>(&path, answer).await.map(drop)
    }

    /// The task once it is terminal, or as it stands when `at_most` is over. The registry pushes: nothing polls.
    pub async fn wait(&self, id: &TaskId, at_most: Duration) -> Result<Task, ClientError> {
        let end = Instant::now() + at_most;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let slice = left.min(Duration::from_millis(WAIT_SLICE_MS));
            let task = self.wait_once(id, slice).await?;
            if task.state.is_terminal() || left <= slice {
                return Ok(task);
            }
        }
    }

    async fn wait_once(&self, id: &TaskId, slice: Duration) -> Result<Task, ClientError> {
        let query = WaitQuery {
            timeout_ms: Some(u64::try_from(slice.as_millis()).unwrap_or(WAIT_SLICE_MS)),
        };
        let path = ["api", "hub", "tasks", id.as_str(), "wait"];
        let request = self
            .request(Method::GET, &path)
            .query(&query)
            .timeout(slice + Duration::from_millis(WAIT_SLACK_MS));
        self.call(request).await
    }

    /// The agents and the real links between them (`GET /api/hub/network/topology`).
    pub async fn topology(&self) -> Result<Topology, ClientError> {
        self.get(&["api", "hub", "network", "topology"]).await
    }

    /// What a dashboard shows, and the event number it is true at (`GET /api/hub/state`).
    pub async fn state(&self) -> Result<HubState, ClientError> {
        self.get(&["api", "hub", "state"]).await
    }

    /// Makes an API key; the answer is the only time its secret is shown (`POST /api/keys`).
    pub async fn create_key(&self, body: &KeyBody) -> Result<KeyAnswer, ClientError> {
        self.post(&["api", "keys"], body).await
    }

    /// The API keys, without secrets (`GET /api/keys`).
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, ClientError> {
        self.get(&["api", "keys"]).await
    }

    /// Revokes an API key and closes what it opened (`DELETE /api/keys/{key_id}`).
    pub async fn revoke_key(&self, key_id: &str) -> Result<(), ClientError> {
        self.delete::<Done>(&["api", "keys", key_id])
            .await
            .map(drop)
    }

    /// Makes a key in another's place, which goes on for a while (`POST /api/keys/{key_id}/rotate`).
    pub async fn rotate_key(
        &self,
        key_id: &str,
        body: &RotateBody,
    ) -> Result<KeyAnswer, ClientError> {
        self.post(&["api", "keys", key_id, "rotate"], body).await
    }

    /// Has the key file read again (`POST /api/keys/reload`).
    pub async fn reload_keys(&self) -> Result<ReloadAnswer, ClientError> {
        self.post(&["api", "keys", "reload"], &json!({})).await
    }

    /// Has tokens signed with a new key (`POST /api/keys/signing`).
    pub async fn rotate_signing(&self) -> Result<(), ClientError> {
        let path = ["api", "keys", "signing"];
        self.post::<Done>(&path, &json!({})).await.map(drop)
    }

    /// Sets the administrator's password (`POST /api/session/password`).
    pub async fn set_password(&self, body: &PasswordBody) -> Result<(), ClientError> {
        let path = ["api", "session", "password"];
        self.post::<Done>(&path, body).await.map(drop)
    }

    /// One page of the audit (`GET /api/audit`).
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, ClientError> {
        self.get_with(&["api", "audit"], query).await
    }

    /// The full URL of a one-time login to the dashboard (`POST /api/session/link`), and the seconds it lives.
    pub async fn login_link(&self) -> Result<(String, u64), ClientError> {
        let link: LoginLink = self.post(&["api", "session", "link"], &json!({})).await?;
        Ok((self.url().page(&link.path), link.expires_in))
    }

    /// Makes an invite or a join token; the answer is the only time its code is shown (`POST /api/invites`).
    pub async fn invite(&self, body: &InviteBody) -> Result<InviteAnswer, ClientError> {
        self.post(&["api", "invites"], body).await
    }

    /// Redeems an invite (`POST /api/pairing/pair`).
    pub async fn pair(&self, body: &PairBody) -> Result<PairAnswer, ClientError> {
        self.post(&["api", "pairing", "pair"], body).await
    }

    /// Where the newcomer with this device token stands, once that is decided or `at_most` is over
    /// (`GET /api/pairing/{id}/status`). At most 60 s are waited for.
    pub async fn pairing_status(
        &self,
        id: &str,
        device_token: &str,
        at_most: Duration,
    ) -> Result<StatusAnswer, ClientError> {
        let at_most = at_most.min(Duration::from_millis(WAIT_SLICE_MS));
        let query = StatusQuery {
            timeout_ms: Some(u64::try_from(at_most.as_millis()).unwrap_or(WAIT_SLICE_MS)),
        };
        let request = self
            .request(Method::GET, &["api", "pairing", id, "status"])
            .header("x-device-token", device_token)
            .query(&query)
            .timeout(at_most + Duration::from_millis(WAIT_SLACK_MS));
        self.call(request).await
    }

    /// Every newcomer, decided or not (`GET /api/pairing/all`).
    pub async fn newcomers(&self) -> Result<Vec<OnboardingEntry>, ClientError> {
        self.get(&["api", "pairing", "all"]).await
    }

    /// Lets a newcomer in; the registry signs its key (`POST /api/pairing/{id}/approve`).
    pub async fn approve(&self, id: &str) -> Result<ApproveAnswer, ClientError> {
        self.post(&["api", "pairing", id, "approve"], &json!({}))
            .await
    }

    /// Lets a newcomer in with a certificate made here (`POST /api/pairing/{id}/certify`).
    pub async fn approve_with(
        &self,
        id: &str,
        body: &CertifyBody,
    ) -> Result<ApproveAnswer, ClientError> {
        self.post(&["api", "pairing", id, "certify"], body).await
    }

    /// Refuses a newcomer (`POST /api/pairing/{id}/reject`).
    pub async fn reject(&self, id: &str) -> Result<(), ClientError> {
        let path = ["api", "pairing", id, "reject"];
        self.post::<Done>(&path, &json!({})).await.map(drop)
    }

    /// Ends an approved newcomer's access at once (`POST /api/pairing/{id}/revoke`).
    pub async fn revoke(&self, id: &str) -> Result<(), ClientError> {
        let path = ["api", "pairing", id, "revoke"];
        self.post::<Done>(&path, &json!({})).await.map(drop)
    }

    /// Has a peer's identity key signed by the root key (`POST /api/identities`).
    pub async fn certify(&self, body: &IdentityBody) -> Result<IdentityAnswer, ClientError> {
        self.post(&["api", "identities"], body).await
    }
}
