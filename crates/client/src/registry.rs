//! How a route is called: credential, timeouts, and what an answer means.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode, Url};
use rustls::ClientConfig;
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::{MAX_RETRY_AFTER_S, TOKEN_TTL_S};
use seamesh_proto::rest::TokenAnswer;
use seamesh_proto::routes::operation_of;
use seamesh_proto::{Code, Problem, seam};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::tls::{self, Trust};
use crate::url::RegistryUrl;

/// Seconds until an address that swallows packets counts as unreachable.
const CONNECT_TIMEOUT_S: u64 = 5;

/// Seconds a call may take whose answer needs no waiting.
const CALL_TIMEOUT_S: u64 = 30;

/// Bytes of a foreign server's answer that are quoted in an error.
const QUOTE_BYTES: usize = 200;

/// What a client shows to be let in. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// An API key (header `x-api-key`).
    ApiKey(String),
    /// The device token that pairing gave (header `x-device-token`); changed into tokens as needed.
    DeviceToken(String),
    /// A token (header `Authorization: Bearer`).
    Bearer(String),
    /// Nothing: for the routes that are open.
    None,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(…)",
            Self::DeviceToken(_) => "DeviceToken(…)",
            Self::Bearer(_) => "Bearer(…)",
            Self::None => "None",
        })
    }
}

/// A client of one registry. Clones share its connections.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    party: Option<Party>,
    url: RegistryUrl,
    credential: Credential,
    http: reqwest::Client,
    tls: Arc<ClientConfig>,
    /// The token a device token was changed into, and when it is too old to use.
    exchanged: Mutex<Option<(String, Instant)>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({}, {:?})", self.url(), self.inner.credential)
    }
}

/// An HTTP client as every process of the mesh uses it, also towards others: no redirects, a bounded connect, one TLS.
///
/// # Errors
/// [`ClientError::Tls`] with `is_tls` on a machine without usable certificates.
pub fn http_builder(is_tls: bool) -> Result<reqwest::ClientBuilder, ClientError> {
    Ok(builder(Trust::default().client_config(is_tls)?))
}

fn builder(tls: ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
}

impl Registry {
    /// A client of the registry at `url`. Opens no connection yet.
    ///
    /// # Errors
    /// [`ClientError::Tls`] when an `https` registry is asked for on a machine without usable certificates.
    pub fn new(url: RegistryUrl, credential: Credential) -> Result<Self, ClientError> {
        Self::of(Party::Cli, url, credential)
    }

    /// As [`new`](Self::new), for a program that the registry knows as something else than an operator's: it says so
    /// in its `user-agent`, `seamesh-PARTY/VERSION`. Without a party it is a program that the mesh does not know.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(
        party: impl Into<Option<Party>>,
        url: RegistryUrl,
        credential: Credential,
    ) -> Result<Self, ClientError> {
        Self::trusting(&Trust::installed(), party, url, credential)
    }

    /// As [`of`](Self::of), with its own idea of whom to trust.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn trusting(
        trust: &Trust,
        party: impl Into<Option<Party>>,
        url: RegistryUrl,
        credential: Credential,
    ) -> Result<Self, ClientError> {
        let party = party.into();
        let tls = trust.client_config(url.is_tls())?;
        let http = builder(tls.clone())
            .user_agent(user_agent(party))
            .build()
            .map_err(|e| ClientError::Tls(e.to_string()))?;
        let inner = Inner {
            party,
            url,
            credential,
            http,
            tls: Arc::new(tls),
            exchanged: Mutex::new(None),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The registry's address.
    pub fn url(&self) -> &RegistryUrl {
        &self.inner.url
    }

    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.inner.tls.clone()
    }

    /// Changes the API key or device token into a token (`POST /api/token`).
    ///
    /// # Errors
    /// `unauthorized` when the registry does not know the credential.
    pub async fn token(&self) -> Result<TokenAnswer, ClientError> {
        let request = self.request(Method::POST, &["api", "token"]);
        let request = match &self.inner.credential {
            Credential::ApiKey(key) => request.header("x-api-key", key),
            Credential::DeviceToken(token) => request.header("x-device-token", token),
            Credential::Bearer(_) | Credential::None => {
                let detail = "only an API key or a device token is changed into a token";
                return Err(problem(Code::Unauthorized, detail));
            }
        };
        self.exchange(request).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.call(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_with<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.call(self.request(Method::GET, path).query(query))
            .await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.call(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<T, ClientError> {
        self.call(self.request(Method::DELETE, path)).await
    }

    /// A request without credential, with the timeout of an ordinary call.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.inner
            .http
            .request(method, self.inner.url.http(path))
            .timeout(Duration::from_secs(CALL_TIMEOUT_S))
    }

    /// A request that may stay open for ever, without credential.
    pub(crate) fn open_ended(&self, path: &[&str]) -> RequestBuilder {
        self.inner.http.get(self.inner.url.http(path))
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let request = self.authorize(request).await?;
        self.exchange(request).await
    }

    pub(crate) async fn authorize(
        &self,
        request: RequestBuilder,
    ) -> Result<RequestBuilder, ClientError> {
        Ok(match &self.inner.credential {
            Credential::ApiKey(key) => request.header("x-api-key", key),
            Credential::Bearer(token) => request.bearer_auth(token),
            Credential::DeviceToken(_) => request.bearer_auth(self.exchanged_token().await?),
            Credential::None => request,
        })
    }

    /// The token of a device token: fetched again when half its life is over.
    async fn exchanged_token(&self) -> Result<String, ClientError> {
        let known = {
            let slot = self.inner.exchanged.lock();
            slot.unwrap_or_else(PoisonError::into_inner).clone()
        };
        if let Some((token, too_old)) = known
            && Instant::now() < too_old
        {
            return Ok(token);
        }
        let token = self.token().await?.token;
        let too_old = Instant::now() + Duration::from_secs(TOKEN_TTL_S / 2);
        let mut slot = self
            .inner
            .exchanged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = Some((token.clone(), too_old));
        Ok(token)
    }

    /// What this program says it is.
    pub(crate) fn user_agent(&self) -> String {
        user_agent(self.inner.party)
    }

    /// Whether a request is to be sent, or an answer to be acted on: always, but for a planted fault.
    pub(crate) fn seams(&self, operation: Option<&str>, what: &str) -> bool {
        let operation = operation.filter(|_| seam::is_on());
        let Some((operation, me)) = operation.zip(self.inner.party) else {
            return true;
        };
        let kind = format!("{operation}.{what}");
        let registry = Some(Party::Registry);
        0 < match what {
            "request" => seam::said(Channel::Rest, &kind, me, registry),
            _ => seam::heard(Channel::Rest, &kind, registry, me),
        }
    }

    /// A request and its answer.
    async fn exchange<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let request = request.build().map_err(|e| self.unreachable(&e))?;
        let operation = operation_of(request.method().as_str(), request.url().path());
        let response = self.execute(request, operation).await?;
        if !self.seams(operation, "answer") {
            return self.unheard(&response);
        }
        self.answer(response).await
    }

    /// What a caller that throws an answer away makes of it: nothing, where its type has that.
    fn unheard<T: DeserializeOwned>(&self, response: &Response) -> Result<T, ClientError> {
        let nothing = ["{}", "[]"]
            .iter()
            .find_map(|t| serde_json::from_str(t).ok());
        nothing.ok_or_else(|| ClientError::BadAnswer {
            url: response.url().to_string(),
            reason: "the answer was not heard".to_owned(),
        })
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let request = request.build().map_err(|e| self.unreachable(&e))?;
        let operation = operation_of(request.method().as_str(), request.url().path());
        let response = self.execute(request, operation).await?;
        if !self.seams(operation, "answer") {
            return self.unheard::<()>(&response).map(|()| response);
        }
        Ok(response)
    }

    async fn execute(
        &self,
        request: Request,
        operation: Option<&str>,
    ) -> Result<Response, ClientError> {
        if !self.seams(operation, "request") {
            return Err(ClientError::Unreachable {
                url: self.url().to_string(),
                reason: "the request was not sent".to_owned(),
            });
        }
        let again = request.try_clone();
        let sent = self.inner.http.execute(request).await;
        let mut response = sent.map_err(|e| self.unreachable(&e))?;
        if let (Some(wait), Some(request)) = (asked_to_wait(&response), again) {
            tokio::time::sleep(wait).await;
            let sent = self.inner.http.execute(request).await;
            response = sent.map_err(|e| self.unreachable(&e))?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let (url, status) = (response.url().clone(), response.status().as_u16());
        let body = response.bytes().await.unwrap_or_default();
        Err(refusal(&url, status, &body))
    }

    async fn answer<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let url = response.url().clone();
        let body = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        serde_json::from_slice(&body).map_err(|e| ClientError::BadAnswer {
            url: url.to_string(),
            reason: e.to_string(),
        })
    }

    /// The error of a connection that could not be made or broke, with its deepest cause.
    pub(crate) fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        if let Some(reason) = tls::distrust(error) {
            let url = self.url().to_string();
            return ClientError::Untrusted { url, reason };
        }
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        ClientError::Unreachable {
            url: self.url().to_string(),
            reason: cause.to_string(),
        }
    }
}

/// How long the registry asks to wait before the same request, where that is short enough to be waited for here. What it
/// refused with 429 it did not do.
fn asked_to_wait(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = seconds.parse().ok().filter(|s| *s <= MAX_RETRY_AFTER_S)?;
    Some(Duration::from_secs(seconds))
}

fn user_agent(party: Option<Party>) -> String {
    let name = party.map_or("client", Party::name);
    format!("seamesh-{name}/{}", env!("CARGO_PKG_VERSION"))
}

pub(crate) fn problem(code: Code, detail: &str) -> ClientError {
    ClientError::Problem(Box::new(Problem::new(code, detail)))
}

/// What an answer with an error status means: the registry's own problem, or something that is no registry.
pub(crate) fn refusal(url: &Url, status: u16, body: &[u8]) -> ClientError {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return ClientError::Problem(Box::new(problem));
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(QUOTE_BYTES)]).into_owned();
    ClientError::BadAnswer {
        url: url.to_string(),
        reason: format!("status {status}, {text:?}"),
    }
}
