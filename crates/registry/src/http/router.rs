//! The router, built from the route table: one place that lets in, reads bodies, counts and answers errors.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequestParts as _, RawPathParams, Request};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::BytesMut;
use futures_util::{FutureExt as _, StreamExt as _};
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::MAX_HTTP_BODY_BYTES;
use seamesh_proto::routes::{Access, ROUTES, Route};
use seamesh_proto::{Code, rest, seam};

use super::call::{Answer, Call, header_text, json};
use super::problem::Failure;
use super::{HANDLERS, hub_files};
use crate::app::App;
use crate::auth;

/// Milliseconds a client may take to send its body. Slower than 70 kB/s at the largest body; a held socket otherwise.
const BODY_TIMEOUT_MS: u64 = 30_000;

/// An operation: what a route's handler is.
pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A route table and a handler table that do not match.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("routes without a handler: {unhandled:?}; handlers without a route: {unrouted:?}")]
pub struct TableMismatch {
    unhandled: Vec<&'static str>,
    unrouted: Vec<&'static str>,
}

/// Checks that every route has a handler and every handler a route.
///
/// # Errors
/// [`TableMismatch`], naming each.
pub(crate) fn check_tables() -> Result<(), TableMismatch> {
    let handled = |route: &&Route| HANDLERS.iter().any(|(name, _)| *name == route.operation);
    let routed = |name: &str| ROUTES.iter().any(|route| route.operation == name);
    let unhandled: Vec<_> = ROUTES.iter().filter(|r| !handled(r)).collect();
    let unrouted: Vec<_> = HANDLERS.iter().filter(|(name, _)| !routed(name)).collect();
    if unhandled.is_empty() && unrouted.is_empty() {
        return Ok(());
    }
    Err(TableMismatch {
        unhandled: unhandled.iter().map(|route| route.operation).collect(),
        unrouted: unrouted.iter().map(|(name, _)| *name).collect(),
    })
}

/// The whole HTTP surface.
///
/// # Errors
/// [`TableMismatch`].
pub(crate) fn router(app: &Arc<App>) -> Result<Router, TableMismatch> {
    check_tables()?;
    let mut router = Router::new();
    for (index, route) in ROUTES.iter().enumerate() {
        if let Some((_, handler)) = HANDLERS.iter().find(|(name, _)| *name == route.operation) {
            router = router.route(route.path, method_router(app, index, route, *handler));
        }
    }
    Ok(router
        .method_not_allowed_fallback(|| async {
            finish(
                Failure::new(Code::MethodNotAllowed, "this path has other methods").into_response(),
            )
        })
        .fallback(|request: Request| async move { hub_files::fallback(&request) }))
}

fn method_router(
    app: &Arc<App>,
    index: usize,
    route: &'static Route,
    handler: Handler,
) -> MethodRouter {
    let app = app.clone();
    on(method_filter(route.method), move |request: Request| {
        let app = app.clone();
        async move {
            let started = Instant::now();
            let response = serve(app.clone(), route, handler, request).await;
            app.metrics
                .request(index, response.status(), started.elapsed());
            finish(response)
        }
    })
}

fn method_filter(method: &str) -> MethodFilter {
    // GET answers HEAD too (RFC 9110, section 9.3.2); axum drops the body.
    match Method::from_bytes(method.as_bytes()).map(MethodFilter::try_from) {
        Ok(Ok(MethodFilter::GET)) => MethodFilter::GET.or(MethodFilter::HEAD),
        Ok(Ok(filter)) => filter,
        // The table is ours and a test walks it: a method nobody can send makes the route unreachable, not open.
        _ => MethodFilter::TRACE,
    }
}

/// Lets a request in or refuses it, reads it, and runs its handler.
async fn serve(
    app: Arc<App>,
    route: &'static Route,
    handler: Handler,
    request: Request,
) -> Response {
    let call = match admit(app, route, request).await {
        Ok(call) => call,
        Err(failure) => return failure.into_response(),
    };
    let caller = call.caller();
    let asked = arrival(route, "request", caller);
    hold(asked).await;
    let mut response = answer(route, handler, call, caller).await;
    let told = arrival(route, "answer", caller);
    hold(told).await;
    if asked.is_last || told.is_last {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Runs a handler on what was let in.
async fn answer(
    route: &'static Route,
    handler: Handler,
    call: Call,
    caller: Option<Party>,
) -> Response {
    if !seams(route, "request", caller) {
        return json(&rest::Ok::default());
    }
    let answer = AssertUnwindSafe(handler(call)).catch_unwind().await;
    if matches!(&answer, Ok(Ok(_))) && !seams(route, "answer", caller) {
        return json(&());
    }
    match answer {
        Ok(Ok(response)) => response,
        Ok(Err(failure)) => failure.into_response(),
        Err(_) => {
            tracing::error!(operation = route.operation, "a handler panicked");
            Failure::new(Code::Internal, "a bug in the registry; its log has more").into_response()
        }
    }
}

/// Whether a request is to be acted on, or an answer to be given: always, but for a planted fault.
fn seams(route: &Route, what: &str, caller: Option<Party>) -> bool {
    if !seam::is_on() {
        return true;
    }
    let (kind, me) = (format!("{}.{what}", route.operation), Party::Registry);
    match (what, caller) {
        ("request", _) => seam::heard(Channel::Rest, &kind, caller, me) > 0,
        // A caller that is none of the ledger's is not muted in somebody else's place.
        (_, None) => true,
        _ => seam::said(Channel::Rest, &kind, me, caller) > 0,
    }
}

/// What a planted fault does to the connection of a request or an answer.
fn arrival(route: &Route, what: &str, caller: Option<Party>) -> seam::Arrival {
    let Some(caller) = caller.filter(|_| seam::is_on()) else {
        return seam::Arrival::default();
    };
    let kind = format!("{}.{what}", route.operation);
    let (caller, me) = (Some(caller), Some(Party::Registry));
    match what {
        "request" => seam::arrived(Channel::Rest, &kind, caller, me),
        _ => seam::arrived(Channel::Rest, &kind, me, caller),
    }
}

async fn hold(arrival: seam::Arrival) {
    if let Some(hold) = arrival.hold {
        tokio::time::sleep(hold).await;
    }
}

/// Whether a role's requests are counted: see [`seamesh_proto::limits::IDENTITY_REQUESTS_PER_SECOND`].
fn is_counted(role: rest::Role) -> bool {
    matches!(role, rest::Role::Agent | rest::Role::Viewer)
}

async fn admit(app: Arc<App>, route: &'static Route, request: Request) -> Result<Call, Failure> {
    let (mut parts, body) = request.into_parts();
    let remote = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |info| info.0);
    let now = app.clock.now();
    let principal = match route.access {
        Access::Open => {
            let taken = app.open_requests.take(remote.ip().to_canonical(), now);
            taken.map_err(|s| Failure::limited("too many requests from this address", s))?;
            None
        }
        Access::Roles(roles) => Some(auth::admit(&app, roles, &parts)?),
    };
    if let Some(principal) = principal.as_ref().filter(|p| is_counted(p.role)) {
        let taken = app.requests.take(principal.peer_id.clone(), now);
        taken.map_err(|s| Failure::limited("too many requests with this credential", s))?;
    }
    let params = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|error| Failure::new(Code::BadEncoding, error.body_text()))?;
    let body = match route.body {
        Some(_) => read_body(&parts.headers, body).await?,
        None => Bytes::new(),
    };
    Ok(Call {
        app,
        principal,
        remote,
        parts,
        params,
        body,
    })
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    if !is_json(headers) {
        let detail = "send the body as JSON, with the header content-type: application/json";
        return Err(Failure::new(Code::UnsupportedMediaType, detail));
    }
    let too_large = || {
        let detail = format!("the body is larger than {MAX_HTTP_BODY_BYTES} bytes");
        Failure::new(Code::TooLarge, detail)
    };
    let declared = header_text(headers, header::CONTENT_LENGTH.as_str());
    if declared.is_some_and(|n| n.parse::<usize>().is_ok_and(|n| n > MAX_HTTP_BODY_BYTES)) {
        return Err(too_large());
    }
    let limit = Duration::from_millis(BODY_TIMEOUT_MS);
    match tokio::time::timeout(limit, collect(body)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(error)) => {
            let detail = format!("the body broke off: {error}");
            Err(Failure::new(Code::BadEncoding, detail))
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {BODY_TIMEOUT_MS} ms");
            Err(Failure::new(Code::DeadlineExceeded, detail))
        }
    }
}

/// The whole body, or `None` once it is over the limit.
async fn collect(body: Body) -> Result<Option<Bytes>, axum::Error> {
    let mut pieces = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > MAX_HTTP_BODY_BYTES {
            return Ok(None);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole.freeze()))
}

/// `application/json` or any `application/…+json` (RFC 6839), with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = header_text(headers, header::CONTENT_TYPE.as_str()) else {
        return false;
    };
    let media = text.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

/// What every answer of the API carries.
fn finish(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Answers are somebody's: no cache may give them to somebody else.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_handler_and_every_handler_a_route() {
        assert_eq!(check_tables(), Ok(()));
    }

    #[test]
    fn every_method_of_the_table_is_one_that_clients_can_send() {
        for route in ROUTES {
            assert_ne!(
                method_filter(route.method),
                MethodFilter::TRACE,
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn json_media_types_are_recognised() {
        let judge = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            is_json(&headers)
        };
        assert!(judge("application/json"));
        assert!(judge("Application/JSON; charset=utf-8"));
        assert!(judge("application/merge-patch+json"));
        assert!(!judge("text/plain"));
        assert!(!judge("text/plain; application/json"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
