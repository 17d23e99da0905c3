//! Errors over HTTP (RFC 9457). The only place where a code becomes a status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seamesh_proto::limits::PAIR_WINDOW_S;
use seamesh_proto::{Code, Problem, WireError};

/// The HTTP status of a code.
pub(crate) fn status(code: Code) -> StatusCode {
    match code {
        Code::BadEncoding | Code::BadJson | Code::UnknownType | Code::VersionUnsupported => {
            StatusCode::BAD_REQUEST
        }
        Code::BadField | Code::BadArguments | Code::DepthExceeded | Code::FanOutExceeded => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::Unauthorized | Code::InviteInvalid => StatusCode::UNAUTHORIZED,
        Code::Forbidden
        | Code::IdentityRequired
        | Code::IdentityInvalid
        | Code::IdentityChanged => StatusCode::FORBIDDEN,
        Code::NotFound
        | Code::AgentUnknown
        | Code::TaskUnknown
        | Code::SkillUnknown
        | Code::NoAgent => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::OutOfOrder
        | Code::TaskState
        | Code::LeaseStale
        | Code::Conflict
        | Code::Canceled
        | Code::NotStreamed
        | Code::NobodyAnswers
        | Code::SidecarBusy => StatusCode::CONFLICT,
        Code::EventsGone => StatusCode::GONE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::SkillFailed | Code::BadResult | Code::AttemptsExhausted => StatusCode::BAD_GATEWAY,
        Code::Overloaded
        | Code::StoreUnavailable
        | Code::NoLink
        | Code::LinkLost
        | Code::StreamBroken
        | Code::RegistryUnavailable
        | Code::AgentAway => StatusCode::SERVICE_UNAVAILABLE,
        Code::Expired | Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A failed call: a problem on its way to becoming an answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the caller is told.
    pub problem: Problem,
    /// Seconds after which to try again; `None`: as long as it usually takes.
    pub retry_after_s: Option<u64>,
}

impl Failure {
    /// A failure with its code's status.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// Too much, too fast.
    pub(crate) fn limited(detail: impl Into<String>, retry_after_s: u64) -> Self {
        Self {
            problem: Problem::new(Code::RateLimited, detail),
            retry_after_s: Some(retry_after_s),
        }
    }
}

impl Failure {
    /// The core answered something else than its contract says: a bug.
    pub(crate) fn unexpected(reply: &seamesh_registry_core::Reply) -> Self {
        tracing::error!(?reply, "the core answered out of contract");
        Self::new(Code::Internal, "a bug in the registry; its log has more")
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            retry_after_s: None,
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Problem::from(error).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self {
            mut problem,
            retry_after_s,
        } = self;
        let status = status(problem.code);
        problem.status = Some(status.as_u16());
        problem.title = status.canonical_reason().map(str::to_owned);
        // Existing clients read `error`.
        problem.error = Some(problem.detail.clone());
        // A problem holds only text and numbers: it serialises.
        let body = serde_json::to_vec(&problem).expect("a problem serialises");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 names how to come in.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let usual = match status {
            StatusCode::TOO_MANY_REQUESTS => Some(PAIR_WINDOW_S),
            StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        };
        if let Some(seconds) = retry_after_s.or(usual) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_status() {
        for &code in Code::ALL {
            let status = status(code);
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{code} is {status}"
            );
        }
    }

    #[test]
    fn what_may_be_retried_unchanged_is_never_told_as_a_malformed_request() {
        for &code in Code::ALL {
            let malformed = matches!(status(code).as_u16(), 400 | 413 | 415 | 422);
            let later = code.retry() == seamesh_proto::Retry::Later;
            assert!(!(malformed && later), "{code}");
        }
    }
}
