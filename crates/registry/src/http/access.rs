//! What makes a credential into a token or a session.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use seamesh_proto::limits::{LOGIN_LINK_TTL_S, SESSION_TTL_S};
use seamesh_proto::rest::{
    LoginLink, Ok as Done, PasswordBody, Role, SessionAnswer, SessionBody, SessionRecord,
    TokenAnswer,
};
use seamesh_proto::{Code, Problem};

use super::call::{Answer, Call, json};
use super::problem::Failure;
use super::serve::OverTls;
use crate::audit::{Action, Entry};
use crate::auth;
use crate::keyring::ADMIN_PEER;
use crate::password::PASSWORD_CREDENTIAL;
use crate::secret;
use crate::session::{Grant, MAX_SESSIONS, SESSION_COOKIE, Session};
use crate::store::AccessWrite;

/// Id of the credential in sessions that came from the link of the first start.
pub(crate) const FIRST_LOGIN: &str = "first-login";

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
    auth::check_login_origin(&call.parts.headers)?;
    let grant = login_grant(&call).await?;
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
    let entry = Entry {
        by: grant.peer_id.to_string(),
        role: Some(grant.role),
        credential: grant.credential.clone(),
        ..call.entry(Action::Login, "", "")
    };
    call.write(write, entry).await?;
    call.app.sessions.insert(session);
    tracing::info!(peer_id = %grant.peer_id, "a dashboard logged in");
    let answer = answer(&call, &grant);
    with_cookie(&call, json(&answer), &text, SESSION_TTL_S)
}

fn answer(call: &Call, grant: &Grant) -> SessionAnswer {
    let is_first = grant.credential == FIRST_LOGIN;
    SessionAnswer {
        peer_id: grant.peer_id.clone(),
        role: grant.role,
        password_missing: is_first && !call.app.password.is_set(),
    }
}

/// Whom the code, the key or the password in the body stands for. Who is refused too often has to wait.
async fn login_grant(call: &Call) -> Result<Grant, Failure> {
    let body: SessionBody = call.json()?;
    let (app, address) = (&call.app, call.remote.ip().to_canonical());
    let tried = app.login_failures.take(address, app.clock.now());
    tried
        .map_err(|seconds| Failure::limited("too many refused logins; try again later", seconds))?;
    let (found, refusal) = match body {
        SessionBody {
            code: Some(code),
            api_key: None,
            password: None,
        } => (
            app.sessions
                .take_code(&secret::hash(&code), app.clock.now()),
            "this login link was used or is too old; make a new one with `seamesh login`",
        ),
        SessionBody {
            code: None,
            api_key: Some(key),
            password: None,
        } => (
            auth::from_api_key(app, &key).map(|p| p.grant()),
            "no such API key",
        ),
        SessionBody {
            code: None,
            api_key: None,
            password: Some(password),
        } => (
            app.password
                .is(password)
                .await
                .then(|| admin_grant(PASSWORD_CREDENTIAL))
                .flatten(),
            "not the administrator's password; `seamesh registry password` sets it",
        ),
        _ => {
            app.login_failures.give_back(&address);
            let detail = "send one of `code`, `api_key` and `password`";
            return Err(Failure::new(Code::BadField, detail));
        }
    };
    let Some(grant) = found else {
        tracing::warn!("a login to the dashboard was refused");
        let what = refusal.split(';').next().unwrap_or_default();
        call.record(call.entry(Action::LoginRefused, "", what))
            .await?;
        return Err(Failure::new(Code::Unauthorized, refusal));
    };
    app.login_failures.give_back(&address);
    Ok(grant)
}

/// The administrator, by another credential than a key.
pub(crate) fn admin_grant(credential: &str) -> Option<Grant> {
    Some(Grant {
        peer_id: ADMIN_PEER.parse().ok()?,
        role: Role::Admin,
        credential: credential.to_owned(),
    })
}

pub(super) async fn session(call: Call) -> Answer {
    Ok(json(&answer(&call, &call.principal()?.grant())))
}

pub(super) async fn logout(call: Call) -> Answer {
    if let Some(hash) = call.principal()?.session {
        let entry = call.entry(Action::Logout, "", "");
        call.write(AccessWrite::RemoveSession(hash), entry).await?;
        call.app.session_over(&hash);
    }
    with_cookie(&call, json(&Done::default()), "", 0)
}

pub(super) async fn list_sessions(call: Call) -> Answer {
    let own = call.principal()?.session;
    let mut all = call.app.sessions.live(call.app.clock.now());
    all.sort_by_key(|session| (std::cmp::Reverse(session.expires), session.id()));
    let records = all.into_iter().map(|session| SessionRecord {
        session_id: session.id(),
        began_ms: session.began().0,
        expires_ms: session.expires.0,
        is_own: own == Some(session.hash),
        peer_id: session.grant.peer_id,
        role: session.grant.role,
        credential: session.grant.credential,
    });
    Ok(json(&records.collect::<Vec<_>>()))
}

pub(super) async fn end_session(call: Call) -> Answer {
    let id = call.param("session_id");
    let mut live = call.app.sessions.live(call.app.clock.now()).into_iter();
    let Some(session) = live.find(|session| session.id() == id) else {
        let detail = "no such session; it may have ended by itself";
        return Err(Failure::new(Code::NotFound, detail));
    };
    let Grant { peer_id, role, .. } = &session.grant;
    let detail = format!("of {peer_id}, {}", auth::role_name(*role));
    let entry = call.entry(Action::SessionEnded, id, detail);
    call.write(AccessWrite::RemoveSession(session.hash), entry)
        .await?;
    call.app.session_over(&session.hash);
    tracing::info!(%peer_id, "a dashboard session was ended");
    Ok(json(&Done::default()))
}

pub(super) async fn login_link(call: Call) -> Answer {
    let code = new_secret("")?;
    let grant = call.principal()?.grant();
    let now = call.app.clock.now();
    call.record(call.entry(Action::LoginLinkMade, grant.peer_id.as_str(), ""))
        .await?;
    call.app
        .sessions
        .insert_code(secret::hash(&code), grant, now);
    Ok(json(&link(&code)))
}

/// The link of a one-time code. A fragment is sent to nobody (RFC 3986, section 3.5).
pub(crate) fn link(code: &str) -> LoginLink {
    LoginLink {
        path: format!("/#login={code}"),
        expires_in: LOGIN_LINK_TTL_S,
    }
}

pub(super) async fn set_password(call: Call) -> Answer {
    let PasswordBody { password } = call.json()?;
    let kept = call.app.password.make(password).await?;
    let write = AccessWrite::SetPassword {
        peer_id: ADMIN_PEER
            .parse()
            .map_err(|_| Failure::new(Code::Internal, "the constant is no id"))?,
        password: kept.clone(),
    };
    call.write(write, call.entry(Action::PasswordSet, ADMIN_PEER, ""))
        .await?;
    call.app.password.set(kept);
    call.app.credential_revoked(PASSWORD_CREDENTIAL);
    tracing::info!("the administrator's password was set");
    Ok(json(&Done::default()))
}

fn new_secret(prefix: &str) -> Result<String, Failure> {
    let text = secret::random_text(prefix);
    Ok(text.map_err(|error| Problem::new(Code::Internal, error.to_string()))?)
}

/// Sets the session cookie (RFC 6265bis): out of reach for scripts and for other sites, and, where the page came over
/// TLS, for plain connections.
fn with_cookie(call: &Call, mut response: Response, value: &str, max_age_s: u64) -> Answer {
    let origin = call.header(header::ORIGIN.as_str()).unwrap_or_default();
    let over_tls = call.parts.extensions.get::<OverTls>();
    let secure = if origin.starts_with("https:") || over_tls.is_some_and(|o| o.0) {
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
