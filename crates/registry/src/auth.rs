//! Who is calling: from a request's headers to a peer and its role.
//!
//! In this order, and the first that is there decides: `Authorization: Bearer`, `x-api-key`, `x-device-token`, the
//! session cookie. (An unknown API key beside a device token is passed over, as existing clients expect.)

use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use seamesh_proto::rest::Role;
use seamesh_proto::{Code, PeerId};
use seamesh_registry_core::Caller;
use serde::Deserialize;

use crate::app::App;
use crate::http::call::header_text;
use crate::http::problem::Failure;
use crate::secret::{self, SecretHash};
use crate::session::{Grant, SESSION_COOKIE};

/// A checked credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Whom it names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
    /// Id of the credential behind it.
    pub credential: String,
    /// Hash of the session, when it came as a cookie.
    pub session: Option<SecretHash>,
}

impl Principal {
    fn new(peer_id: &PeerId, role: Role, credential: &str) -> Self {
        Self {
            peer_id: peer_id.clone(),
            role,
            credential: credential.to_owned(),
            session: None,
        }
    }

    /// The caller, as the core knows it.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            peer: self.peer_id.clone(),
            role: self.role,
        }
    }

    /// What a session or login link made from it stands for.
    pub(crate) fn grant(&self) -> Grant {
        Grant {
            peer_id: self.peer_id.clone(),
            role: self.role,
            credential: self.credential.clone(),
        }
    }
}

/// Lets a request in when its credential has one of these roles.
///
/// # Errors
/// `unauthorized` without a good credential, `forbidden` for another role or a cross-site request with a cookie.
pub(crate) fn admit(app: &App, roles: &[Role], parts: &Parts) -> Result<Principal, Failure> {
    let principal = identify(app, parts)?;
    if !roles.contains(&principal.role) {
        let detail = format!(
            "this call is for the roles {}",
            roles
                .iter()
                .map(|r| role_name(*r))
                .collect::<Vec<_>>()
                .join(", ")
        );
        return Err(Failure::new(Code::Forbidden, detail));
    }
    if principal.session.is_some() && changes_state(parts) && !is_same_origin(&parts.headers) {
        let detail = "a request with the session cookie must come from the registry's own page";
        return Err(Failure::new(Code::Forbidden, detail));
    }
    Ok(principal)
}

/// Keeps another site's page from logging a browser in: a login that a browser sends comes from our own page.
///
/// # Errors
/// `forbidden`.
pub(crate) fn check_login_origin(headers: &HeaderMap) -> Result<(), Failure> {
    let from_browser =
        headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if from_browser && !is_same_origin(headers) {
        let detail = "a login in a browser must come from the registry's own page";
        return Err(Failure::new(Code::Forbidden, detail));
    }
    Ok(())
}

/// The role as it stands on the wire.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn identify(app: &App, parts: &Parts) -> Result<Principal, Failure> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer);
        return bearer_principal(app, token.ok_or_else(unauthorized)?);
    }
    if let Some(principal) = from_secret(app, &parts.headers) {
        return Ok(principal);
    }
    if let Some(principal) = from_cookie(app, &parts.headers) {
        return Ok(principal);
    }
    from_url(app, &parts.uri).unwrap_or_else(|| Err(unauthorized()))
}

/// The principal of an API key or device token: what `POST /api/token` changes into a token.
pub(crate) fn from_secret(app: &App, headers: &HeaderMap) -> Option<Principal> {
    let key = header_text(headers, "x-api-key").and_then(|text| from_api_key(app, text));
    key.or_else(|| {
        let digest = hex(&secret::hash(header_text(headers, "x-device-token")?));
        let device = app.devices.by_digest(&digest)?;
        let (peer, credential) = (&device.peer_id, &device.credential);
        Some(Principal::new(peer, Role::Agent, credential))
    })
}

/// The principal of an API key.
pub(crate) fn from_api_key(app: &App, text: &str) -> Option<Principal> {
    let key = app.keyring.by_hash(&secret::hash(text), app.clock.now())?;
    Some(Principal::new(&key.peer_id, key.role, &key.key_id))
}

/// The digest under which the core knows a device token.
pub(crate) fn hex(hash: &SecretHash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `Bearer` is matched without regard to case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn bearer_principal(app: &App, token: &str) -> Result<Principal, Failure> {
    let claims = app
        .signer
        .verify(token, app.clock.now_s())
        .map_err(|error| Failure::new(Code::Unauthorized, format!("token: {error}")))?;
    // A token holds only as long as the credential it was made from.
    if !is_granted(app, &claims.sub, claims.role, claims.cred.as_deref()) {
        let detail = "token: the credential it was made from is revoked";
        return Err(Failure::new(Code::Unauthorized, detail));
    }
    let credential = claims.cred.as_deref().unwrap_or_default();
    Ok(Principal::new(&claims.sub, claims.role, credential))
}

/// Whether the credential (any of the peer's, when none is named) still gives the peer this role.
fn is_granted(app: &App, peer: &PeerId, role: Role, credential: Option<&str>) -> bool {
    let (agent, now) = (role == Role::Agent, app.clock.now());
    match credential {
        Some(id) => match app.keyring.by_id(id, now) {
            Some(key) => key.peer_id == *peer && key.role == role,
            None => {
                let device = app.devices.by_credential(id);
                agent && device.is_some_and(|d| d.peer_id == *peer)
            }
        },
        None => app.keyring.grants(peer, role, now) || (agent && app.devices.approves(peer)),
    }
}

/// Whether the credential behind an open socket or stream still holds. A token's expiry does not end what it opened;
/// a revocation, a logout and a session's end do.
pub(crate) fn is_alive(app: &App, principal: &Principal) -> bool {
    if let Some(session) = &principal.session {
        return app.sessions.find(session, app.clock.now()).is_some();
    }
    let cred = Some(principal.credential.clone()).filter(|id| !id.is_empty());
    is_granted(app, &principal.peer_id, principal.role, cred.as_deref())
}

fn from_cookie(app: &App, headers: &HeaderMap) -> Option<Principal> {
    let hash = secret::hash(cookie(headers)?);
    let session = app.sessions.find(&hash, app.clock.now())?;
    let grant = &session.grant;
    let mut principal = Principal::new(&grant.peer_id, grant.role, &grant.credential);
    principal.session = Some(hash);
    Some(principal)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == SESSION_COOKIE).then_some(value)
    })
}

#[derive(Deserialize)]
struct UrlToken {
    token: String,
}

/// The existing wire's `/ws?token=`, only where the operator switched it on: tokens in URLs end up in logs.
fn from_url(app: &App, uri: &Uri) -> Option<Result<Principal, Failure>> {
    if uri.path() != "/ws" {
        return None;
    }
    let Query(UrlToken { token }) = Query::try_from_uri(uri).ok()?;
    if !app.compat_url_token {
        let detail = "a token in the URL is off here; send it as a header, or start the registry with \
                      --compat-url-token";
        return Some(Err(Failure::new(Code::Unauthorized, detail)));
    }
    Some(bearer_principal(app, &token))
}

fn unauthorized() -> Failure {
    Failure::new(
        Code::Unauthorized,
        "send a token (Authorization: Bearer), an API key (x-api-key) or a device token (x-device-token)",
    )
}

/// Whether the request may do more than read. A WebSocket does, although it begins with GET.
fn changes_state(parts: &Parts) -> bool {
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    !reads || parts.headers.contains_key(header::UPGRADE)
}

/// Whether the browser says that the request comes from our own page (Fetch Metadata; `Origin` in older browsers).
fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = header_text(headers, "sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = header_text(headers, header::ORIGIN.as_str());
    let origin_host = origin
        .and_then(|o| o.split_once("://"))
        .map(|(_, host)| host);
    let host = header_text(headers, header::HOST.as_str());
    origin_host.is_some() && origin_host == host
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn only_our_own_page_is_the_same_origin() {
        let own = [("origin", "http://hub:8080"), ("host", "hub:8080")];
        assert!(is_same_origin(&headers(&own)));
        let other = [("origin", "http://evil"), ("host", "hub:8080")];
        assert!(!is_same_origin(&headers(&other)));
        assert!(!is_same_origin(&headers(&[("host", "hub:8080")])));
        assert!(!is_same_origin(&headers(&[
            ("origin", "null"),
            ("host", "hub")
        ])));
        assert!(is_same_origin(&headers(&[(
            "sec-fetch-site",
            "same-origin"
        )])));
        // What the browser says of the site counts more than a forged-looking origin.
        let cross = [
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://hub"),
            ("host", "hub"),
        ];
        assert!(!is_same_origin(&headers(&cross)));
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let found = |line| cookie(&headers(&[("cookie", line)])).map(str::to_owned);
        assert_eq!(found("a=1; seamesh_session=s; b=2").as_deref(), Some("s"));
        assert_eq!(found("xseamesh_session=s"), None);
    }

    #[test]
    fn a_bearer_scheme_is_recognised_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
