//! One request on its way to its handler: credential checked, body read, parameters at hand.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use seamesh_proto::ledger::Party;
use seamesh_proto::rest::Role;
use seamesh_proto::{Code, PeerId};
use seamesh_registry_core::{Op, Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Failure;
use crate::app::App;
use crate::audit::{Action, Entry};
use crate::auth::Principal;
use crate::store::AccessWrite;

/// A request that its route lets in.
pub(crate) struct Call {
    /// What the registry runs on.
    pub app: Arc<App>,
    /// Who calls; `None` on open routes without a good credential.
    pub principal: Option<Principal>,
    /// Address of the TCP peer.
    pub remote: SocketAddr,
    /// Method, URI, headers, and what an upgrade needs.
    pub parts: Parts,
    /// The path's parameters, percent-decoded.
    pub params: RawPathParams,
    /// The whole body; empty on routes that take none.
    pub body: Bytes,
}

/// What a handler answers.
pub(crate) type Answer = Result<Response, Failure>;

impl Call {
    /// The caller.
    ///
    /// # Errors
    /// `unauthorized` on an open route without a credential.
    pub(crate) fn principal(&self) -> Result<&Principal, Failure> {
        self.principal
            .as_ref()
            .ok_or_else(|| Failure::new(Code::Unauthorized, "this call needs a credential"))
    }

    /// The caller's peer id and role.
    ///
    /// # Errors
    /// `unauthorized` on an open route without a credential.
    pub(crate) fn identity(&self) -> Result<(PeerId, Role), Failure> {
        let principal = self.principal()?;
        Ok((principal.peer_id.clone(), principal.role))
    }

    /// Asks the core on the caller's behalf.
    ///
    /// # Errors
    /// The core's refusal, or `store_unavailable`.
    pub(crate) async fn ask(&self, op: Op) -> Result<Reply, Failure> {
        let caller = self.principal()?.caller();
        Ok(self.app.ask(caller, op).await?)
    }

    /// Has the core decide something on the caller's behalf, which the audit records.
    ///
    /// # Errors
    /// The core's refusal, or `store_unavailable`.
    pub(crate) async fn decide(&self, op: Op, entry: Entry) -> Result<Reply, Failure> {
        let caller = self.principal()?.caller();
        Ok(self.app.decide(caller, op, entry).await?)
    }

    /// Makes a change of keys or sessions durable, with what the audit says of it.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub(crate) async fn write(&self, write: AccessWrite, entry: Entry) -> Result<(), Failure> {
        Ok(self.app.write(Some(write), entry).await?)
    }

    /// Records a decision that changes nothing in the store.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub(crate) async fn record(&self, entry: Entry) -> Result<(), Failure> {
        Ok(self.app.write(None, entry).await?)
    }

    /// What the audit says of a decision of the caller's.
    pub(crate) fn entry(&self, action: Action, about: &str, detail: impl Into<String>) -> Entry {
        let who = self.principal.as_ref();
        Entry {
            at: self.app.clock.now(),
            action,
            by: who.map_or_else(String::new, |p| p.peer_id.to_string()),
            role: who.map(|p| p.role),
            credential: who.map_or_else(String::new, |p| p.credential.clone()),
            from: self.remote.ip().to_canonical().to_string(),
            about: about.to_owned(),
            detail: detail.into(),
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `bad_encoding`, `bad_json` or `bad_field`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        Ok(seamesh_proto::read_json(&self.body)?)
    }

    /// The query string.
    ///
    /// # Errors
    /// `bad_field`.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        match Query::try_from_uri(&self.parts.uri) {
            Ok(Query(query)) => Ok(query),
            Err(error) => Err(Failure::new(Code::BadField, format!("query: {error}"))),
        }
    }

    /// A path parameter as text.
    pub(crate) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }

    /// A path parameter as an id.
    ///
    /// # Errors
    /// `missing` when it cannot be one: nothing by that name exists.
    pub(crate) fn id<T: std::str::FromStr<Err = seamesh_proto::ids::IdError>>(
        &self,
        name: &str,
        missing: Code,
    ) -> Result<T, Failure> {
        self.param(name)
            .parse()
            .map_err(|error| Failure::new(missing, format!("{name}: {error}")))
    }

    /// What program calls, as its `user-agent` says; `None` for others than the mesh's own.
    pub(crate) fn caller(&self) -> Option<Party> {
        Party::of_user_agent(self.header(header::USER_AGENT.as_str())?)
    }

    /// A header's text; `None` when it is absent or not ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_text(&self.parts.headers, name)
    }
}

/// A header's text; `None` when it is absent or not visible ASCII.
pub(crate) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A JSON answer with status 200.
pub(crate) fn json<T: Serialize>(value: &T) -> Response {
    // Wire types serialise into memory without failing: no maps with non-text keys, no IO.
    let body = serde_json::to_vec(value).expect("wire types serialise");
    json_text(body)
}

/// A JSON answer with status 200 from its text.
pub(crate) fn json_text(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
