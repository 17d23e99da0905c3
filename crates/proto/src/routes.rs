//! The route table of the registry: the one source of the OpenAPI document, of the ledger's REST rows, and of who may
//! call what. The server refuses to start with a route that has no row here, and a test walks the whole table.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::agent::{AgentInfo, AgentRecord};
use crate::audit;
use crate::ledger::Party;
use crate::rest::{self, Role};
use crate::talk::Answer;
use crate::task::{SubmitTask, Task};
use crate::{WireError, read_json};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: health, the pairing redeem, and what makes a credential into a token or a session.
    Open,
    /// These roles.
    Roles(&'static [Role]),
}

/// Makes a schema, by reference into the generator's definitions.
pub type SchemaFn = fn(&mut SchemaGenerator) -> Schema;

/// Reads a body as the route's handler does, and says what was understood.
pub type ReadFn = fn(&[u8]) -> Result<Value, WireError>;

/// One route.
#[derive(Clone, Copy)]
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Name in the OpenAPI document and in generated clients.
    pub operation: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Query parameters, as an object schema.
    pub query: Option<SchemaFn>,
    /// Body.
    pub body: Option<SchemaFn>,
    /// How the body is read.
    pub read: Option<ReadFn>,
    /// Answer with status 200; `None` when it is not JSON (WebSocket, event stream, text).
    pub answer: Option<SchemaFn>,
    /// Who calls it.
    pub callers: &'static [Party],
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn read<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<Value, WireError> {
    let body: T = read_json(bytes)?;
    // Wire types serialise without failing: no maps with non-text keys.
    Ok(serde_json::to_value(body).expect("wire types serialise"))
}

const ANYONE: Access = Access::Roles(&[Role::Agent, Role::Viewer, Role::Operator, Role::Admin]);
const WATCH: Access = Access::Roles(&[Role::Viewer, Role::Operator, Role::Admin]);
const WORK: Access = Access::Roles(&[Role::Agent, Role::Operator, Role::Admin]);
const AGENT: Access = Access::Roles(&[Role::Agent]);
const ADMIN: Access = Access::Roles(&[Role::Admin]);

macro_rules! routes {
    (@opt) => { None };
    (@opt $t:ty) => { Some(schema::<$t> as SchemaFn) };
    (@read) => { None };
    (@read $t:ty) => { Some(read::<$t> as ReadFn) };
    ($(
        $method:ident $path:literal $operation:ident [$access:expr] from [$($party:ident),*]
            $(query $query:ty)? , $(body $body:ty)? , $(answer $answer:ty)? ; $summary:literal
    )+) => {
        /// Every route the registry serves.
        pub const ROUTES: &[Route] = &[$(
            Route {
                method: stringify!($method),
                path: $path,
                operation: stringify!($operation),
                summary: $summary,
                access: $access,
                query: routes!(@opt $($query)?),
                body: routes!(@opt $($body)?),
                read: routes!(@read $($body)?),
                answer: routes!(@opt $($answer)?),
                callers: &[$(Party::$party),*],
            }
        ),+];
    };
}

routes! {
    GET "/healthz" health [Access::Open] from [Hub, Cli], , answer rest::HealthAnswer;
        "Whether the registry serves."
    GET "/metrics" metrics [WATCH] from [Hub], , ;
        "Metrics in the Prometheus text format."
    GET "/api/openapi.json" openapi [ANYONE] from [], , answer Value;
        "This document."
    POST "/api/token" token [Access::Open] from [Sidecar, Cli, PythonAgent], , answer rest::TokenAnswer;
        "Changes an API key (header x-api-key) or device token (header x-device-token) into a short-lived token."
    GET "/ws" signaling [AGENT] from [Sidecar], , ;
        "The signaling WebSocket. The token comes in the Authorization header."
    GET "/api/config" ice_config [ANYONE] from [Hub, Sidecar, Cli], , answer rest::IceConfig;
        "STUN and TURN servers, with short-lived TURN credentials."

    POST "/api/registry/agents" register_agent [AGENT] from [PythonAgent], body AgentInfo, answer rest::Ok;
        "Registers the caller's agent, or replaces its record."
    GET "/api/registry/agents" list_agents [ANYONE] from [Cli, PythonAgent], , answer Vec<AgentRecord>;
        "Every agent, by id."
    GET "/api/registry/agents/{agent_id}" get_agent [ANYONE] from [], , answer AgentRecord;
        "One agent."
    DELETE "/api/registry/agents/{agent_id}" remove_agent [WORK] from [Hub, Cli, PythonAgent], , answer rest::Ok;
        "Removes an agent: its own, or any for an operator."
    GET "/api/registry/route" route_skill [ANYONE] from [] query rest::RouteQuery, , answer AgentRecord;
        "The agent to ask for a skill: healthy, least loaded, ties to the least recently chosen."

    POST "/api/hub/heartbeat" heartbeat [AGENT] from [PythonAgent], body rest::HeartbeatBody, answer rest::HeartbeatAnswer;
        "Says that an agent lives; answers the work that is now its own."
    POST "/api/hub/tasks" submit_task [WORK] from [Hub, Cli, PythonAgent], body SubmitTask, answer rest::SubmitAnswer;
        "Puts a task into the durable queue."
    GET "/api/hub/tasks" list_tasks [WATCH] from [Hub, Cli] query rest::TaskQuery, , answer rest::TaskPage;
        "Tasks, newest first, filtered and paged."
    GET "/api/hub/tasks/all" list_tasks_array [WATCH] from [] query rest::TaskQuery, , answer Vec<Task>;
        "The same page as a bare array, for existing clients; the next cursor is in the header x-next-cursor."
    GET "/api/hub/tasks/{task_id}" get_task [ANYONE] from [Hub, Cli], , answer Task;
        "One task."
    POST "/api/hub/tasks/{task_id}" update_task [AGENT] from [PythonAgent], body rest::TaskUpdate, answer rest::Ok;
        "Ends, renews or hands back the caller's attempt at a task."
    POST "/api/hub/tasks/{task_id}/cancel" cancel_task [WORK] from [Hub, Cli, PythonAgent], , answer rest::Ok;
        "Cancels a task: the submitter's own, or any for an operator."
    POST "/api/hub/tasks/{task_id}/input" answer_task [WORK] from [Hub, Cli], body Answer, answer rest::Ok;
        "Answers the question of a task that waits for input: by its submitter, or an operator."
    GET "/api/hub/tasks/{task_id}/wait" wait_task [ANYONE] from [Cli, PythonAgent] query rest::WaitQuery, , answer Task;
        "The task once it is terminal, or as it stands when the time is up."
    GET "/api/hub/tasks/{task_id}/chunks" task_chunks [ANYONE] from [Hub] query rest::ChunksQuery, , answer rest::ChunkPage;
        "What the task's handler streams, as it comes: waits for the next chunks and takes those that were read."
    GET "/api/hub/tasks/{task_id}/history" task_history [ANYONE] from [Hub, Cli] query rest::HistoryQuery, , answer rest::TaskHistory;
        "What happened to the task, oldest first and paged: every change, and every result refused as stale."
    GET "/api/hub/network/topology" topology [WATCH] from [Cli], , answer rest::Topology;
        "The agents and the real links between them."
    GET "/api/hub/state" hub_state [WATCH] from [Hub, Cli], , answer rest::HubState;
        "What a dashboard shows, and the event number it is true at."
    GET "/api/hub/settings" settings [WATCH] from [Hub], , answer rest::Settings;
        "How this registry was started, without its secrets, and how much it takes of one caller."
    GET "/api/events" events [WATCH] from [Hub, Cli] query rest::EventsQuery, , ;
        "The numbered event stream, as server-sent events; resumable."

    POST "/api/session" login [Access::Open] from [Hub], body rest::SessionBody, answer rest::SessionAnswer;
        "Logs the dashboard in with a one-time code or an API key; sets the session cookie."
    GET "/api/session" session [ANYONE] from [Hub], , answer rest::SessionAnswer;
        "Who is calling."
    DELETE "/api/session" logout [ANYONE] from [Hub], , answer rest::Ok;
        "Ends the session."
    POST "/api/session/link" login_link [ADMIN] from [Cli], , answer rest::LoginLink;
        "Makes a one-time login link for the dashboard."
    POST "/api/session/password" set_password [ADMIN] from [Hub, Cli], body rest::PasswordBody, answer rest::Ok;
        "Sets the administrator's password; sessions that came from the old one end."

    GET "/api/sessions" list_sessions [ADMIN] from [Hub], , answer Vec<rest::SessionRecord>;
        "The dashboard sessions, without their secrets; newest first."
    DELETE "/api/sessions/{session_id}" end_session [ADMIN] from [Hub], , answer rest::Ok;
        "Ends a dashboard session and the streams that it opened."

    GET "/api/audit" list_audit [ADMIN] from [Hub, Cli] query audit::AuditQuery, , answer audit::AuditPage;
        "Who decided what, as a chain of hashes; paged."

    POST "/api/keys" create_key [ADMIN] from [Hub, Cli], body rest::KeyBody, answer rest::KeyAnswer;
        "Makes an API key; its secret is shown this once."
    GET "/api/keys" list_keys [ADMIN] from [Hub, Cli], , answer Vec<rest::KeyRecord>;
        "The API keys, without secrets."
    DELETE "/api/keys/{key_id}" revoke_key [ADMIN] from [Hub, Cli], , answer rest::Ok;
        "Revokes an API key and closes what it opened."
    POST "/api/keys/{key_id}/rotate" rotate_key [ADMIN] from [Cli], body rest::RotateBody, answer rest::KeyAnswer;
        "Makes a key in another's place, which goes on for a while; the new secret is shown this once."
    POST "/api/keys/reload" reload_keys [ADMIN] from [Cli], , answer rest::ReloadAnswer;
        "Reads the key file again; a key that is no longer in it is revoked."
    POST "/api/keys/signing" rotate_signing [ADMIN] from [Cli], , answer rest::Ok;
        "Signs tokens with a new key from now on; those of the old one are taken until they expire."

    POST "/api/pairing/generate-code" create_invite [ADMIN] from [Hub], , answer rest::InviteAnswer;
        "Makes a single-use invite."
    POST "/api/invites" make_invite [ADMIN] from [Cli], body rest::InviteBody, answer rest::InviteAnswer;
        "Makes an invite or a join token, as asked; its code is shown this once."
    POST "/api/identities" certify_key [ADMIN] from [Cli], body rest::IdentityBody, answer rest::IdentityAnswer;
        "Signs a peer's identity key with the mesh's root key."
    POST "/api/pairing/pair" redeem_invite [Access::Open] from [Cli], body rest::PairBody, answer rest::PairAnswer;
        "Redeems an invite: the newcomer then waits for approval."
    GET "/api/pairing/{id}/status" pairing_status [Access::Open] from [Cli] query rest::StatusQuery, , answer rest::StatusAnswer;
        "Where the newcomer stands that made this device token (header x-device-token)."
    GET "/api/pairing/pending" list_pending [ADMIN] from [], , answer Vec<rest::OnboardingEntry>;
        "Newcomers that wait for approval."
    GET "/api/pairing/all" list_pairing [ADMIN] from [Hub, Cli], , answer Vec<rest::OnboardingEntry>;
        "Every newcomer, decided or not."
    POST "/api/pairing/{id}/approve" approve [ADMIN] from [Hub, Cli], , answer rest::ApproveAnswer;
        "Lets a newcomer in; answers its device token, this once."
    POST "/api/pairing/{id}/certify" certify [ADMIN] from [Cli], body rest::CertifyBody, answer rest::ApproveAnswer;
        "Lets a newcomer in with a certificate that the caller made with the root key."
    POST "/api/pairing/{id}/reject" reject [ADMIN] from [Hub, Cli], , answer rest::Ok;
        "Refuses a newcomer."
    POST "/api/pairing/{id}/revoke" revoke [ADMIN] from [Hub, Cli], , answer rest::Ok;
        "Ends an approved newcomer's access at once."
}

/// The operation that a method and a path without query name: the route with the most literal segments.
pub fn operation_of(method: &str, path: &str) -> Option<&'static str> {
    let fits = |route: &&Route| {
        let (mut ours, mut theirs) = (route.path.split('/'), path.split('/'));
        route.method == method
            && loop {
                match (ours.next(), theirs.next()) {
                    (None, None) => break true,
                    (Some(a), Some(b)) if a == b || a.starts_with('{') => {}
                    _ => break false,
                }
            }
    };
    let found = ROUTES.iter().filter(fits);
    let route = found.min_by_key(|route| route.path.matches('{').count())?;
    Some(route.operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_operation() {
        let of = |path| operation_of("GET", path);
        assert_eq!(of("/api/hub/tasks/all"), Some("list_tasks_array"));
        assert_eq!(of("/api/hub/tasks/t-1"), Some("get_task"));
        assert_eq!(of("/api/hub/tasks/t-1/wait"), Some("wait_task"));
        assert_eq!(of("/nothing"), None);
    }

    #[test]
    fn operations_are_unique() {
        let mut names: Vec<_> = ROUTES.iter().map(|r| r.operation).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROUTES.len());
    }

    #[test]
    fn only_what_makes_a_credential_is_open() {
        let open: Vec<_> = ROUTES
            .iter()
            .filter(|r| r.access == Access::Open)
            .map(|r| r.operation)
            .collect();
        // The status of a newcomer needs its device token, which gives no role yet.
        assert_eq!(
            open,
            [
                "health",
                "token",
                "login",
                "redeem_invite",
                "pairing_status"
            ]
        );
    }
}
