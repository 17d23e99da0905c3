//! What makes a credential into a token or a session.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use seamesh_proto::limits::{LOGIN_LINK_TTL_S, SESSION_TTL_S};
use seamesh_proto::rest::{LoginLink, Ok as Done, SessionAnswer, SessionBody, TokenAnswer};
use seamesh_proto::{Code, Problem};

use super::call::{Answer, Call, json};
use super::problem::Failure;
use crate::auth;
use crate::secret;
use crate::session::{Grant, MAX_SESSIONS, SESSION_COOKIE, Session};
use crate::store::AccessWrite;

pub(super) async fn token(call: Call) -> Answer {
    let Some(principal) = auth::from_secret(&call.app, &call.parts.headers) else {
        let detail = "send a good API key (x-api-key) or the device token of an approved entry (x-device-token)";
        return Err(Failure::new(Code::Unauthorized, detail));
    };
    let (peer_id, role) = (principal.peer_id, principal.role);
    let now_s = call.app.clock.now_s();
    let signer = &call.app.signer;
    Ok(json(&TokenAnswer {
        token: signer.issue(&peer_id, role, &principal.credential, now_s),
        peer_id,
        role,
    }))
}

pub(super) async fn login(call: Call) -> Answer {
    let grant = login_grant(&call)?;
    let now = call.app.clock.now();
    if !call.app.sessions.has_room(now) {
        let detail = format!("there are {MAX_SESSIONS} sessions; log out elsewhere first");
        return Err(Failure::new(Code::Overloaded, detail));
    }
    let text = new_secret("")?;
    let session = Session::begin(secret::hash(&text), grant.clone(), now);
    let write = AccessWrite::InsertSession {
        session: session.clone(),
        now,
    };
    call.write(write).await?;
    call.app.sessions.insert(session);
    tracing::info!(peer_id = %grant.peer_id, "a dashboard logged in");
    let answer = SessionAnswer {
        peer_id: grant.peer_id,
        role: grant.role,
    };
    with_cookie(&call, json(&answer), &text, SESSION_TTL_S)
}

/// Whom the code or the key in the body stands for.
fn login_grant(call: &Call) -> Result<Grant, Failure> {
    let SessionBody { code, api_key } = call.json()?;
    let app = &call.app;
    match (code, api_key) {
        (Some(code), None) => {
            let grant = app
                .sessions
                .take_code(&secret::hash(&code), app.clock.now());
            let detail = "this login link was used or is too old; make a new one";
            grant.ok_or_else(|| Failure::new(Code::Unauthorized, detail))
        }
        (None, Some(key)) => {
            let principal = auth::from_api_key(app, &key);
            let principal =
                principal.ok_or_else(|| Failure::new(Code::Unauthorized, "no such API key"))?;
            Ok(principal.grant())
        }
        _ => Err(Failure::new(
            Code::BadField,
            "send either `code` or `api_key`",
        )),
    }
}

pub(super) async fn session(call: Call) -> Answer {
    let (peer_id, role) = call.identity()?;
    Ok(json(&SessionAnswer { peer_id, role }))
}

pub(super) async fn logout(call: Call) -> Answer {
    if let Some(hash) = call.principal()?.session {
        call.write(AccessWrite::RemoveSession(hash)).await?;
        call.app.sessions.remove(&hash);
    }
    with_cookie(&call, json(&Done::default()), "", 0)
}

pub(super) async fn login_link(call: Call) -> Answer {
    let code = new_secret("")?;
    let grant = call.principal()?.grant();
    let now = call.app.clock.now();
    call.app
        .sessions
        .insert_code(secret::hash(&code), grant, now);
    Ok(json(&LoginLink {
        path: format!("/#login={code}"),
        expires_in: LOGIN_LINK_TTL_S,
    }))
}

fn new_secret(prefix: &str) -> Result<String, Failure> {
    let text = secret::random_text(prefix);
    Ok(text.map_err(|error| Problem::new(Code::Internal, error.to_string()))?)
}

/// Sets the session cookie (RFC 6265bis): out of reach for scripts and for other sites, and, where the page came over
/// TLS, for plain connections.
fn with_cookie(call: &Call, mut response: Response, value: &str, max_age_s: u64) -> Answer {
    let origin = call.header(header::ORIGIN.as_str()).unwrap_or_default();
    let secure = if origin.starts_with("https:") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{SESSION_COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}{secure}"
    );
    let cookie = HeaderValue::try_from(cookie)
        .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}
