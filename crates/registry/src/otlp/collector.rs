//! The way to a collector: OTLP over HTTP in JSON (OpenTelemetry Protocol 1.x, "OTLP/HTTP").

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};

/// Seconds a collector has to take a batch.
const TIMEOUT_S: u64 = 10;

/// Bytes of a collector's refusal that are quoted.
const QUOTE_BYTES: usize = 200;

/// Why spans did not reach the collector.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectorError {
    /// It may take them later.
    #[error("{0}")]
    Away(String),
    /// It will never take them.
    #[error("{0}")]
    Refused(String),
}

/// Where spans go.
#[derive(Clone)]
pub struct OtlpSettings {
    /// The collector's URL. Without a path, `/v1/traces` is added, as OpenTelemetry's exporters do.
    pub url: String,
    /// Headers to send, `name=value,name=value` with values percent-encoded (`OTEL_EXPORTER_OTLP_HEADERS`): secrets
    /// stand there, never in the URL.
    pub headers: String,
}

impl std::fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OtlpSettings({}, …)", self.url)
    }
}

/// Why the settings of a collector are no good. Each text says what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// Not an HTTP URL.
    #[error("{0:?} is no collector's address: write it like http://127.0.0.1:4318")]
    Url(String),
    /// A user, a password or a query, which may be a secret.
    #[error(
        "a collector's address holds no secret: give it with OTEL_EXPORTER_OTLP_HEADERS, as name=value"
    )]
    Secret,
    /// Headers that are none.
    #[error("OTEL_EXPORTER_OTLP_HEADERS: header number {0} is not name=value")]
    Header(usize),
    /// The certificates of this machine cannot be used.
    #[error("no TLS for the collector: {0}")]
    Tls(String),
    /// How far the collector was told cannot be read.
    #[error("{path}: {error}; remove the file to begin with the next task that ends")]
    Cursor {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
}

/// A collector of traces.
#[derive(Debug)]
pub(crate) struct Collector {
    url: Url,
    http: reqwest::Client,
}

impl Collector {
    /// The collector that the settings name. Opens no connection yet.
    ///
    /// # Errors
    /// [`OtlpError`].
    pub(crate) fn new(settings: &OtlpSettings) -> Result<Self, OtlpError> {
        let url = endpoint(&settings.url)?;
        let http = seamesh_client::http_builder(url.scheme() == "https")
            .map_err(|error| OtlpError::Tls(error.to_string()))?
            .timeout(Duration::from_secs(TIMEOUT_S))
            .default_headers(headers(&settings.headers)?)
            .build()
            .map_err(|error| OtlpError::Tls(error.to_string()))?;
        Ok(Self { url, http })
    }

    /// Hands spans over: the body is one `ExportTraceServiceRequest`.
    ///
    /// # Errors
    /// [`CollectorError`].
    pub(crate) async fn take(&self, body: &[u8]) -> Result<(), CollectorError> {
        let request = self.http.post(self.url.clone()).body(body.to_vec());
        let sent = request.send().await;
        // The URL of an error would stand in the log.
        let answer = sent.map_err(|error| CollectorError::Away(error.without_url().to_string()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.text().await.unwrap_or_default();
        let end = text.floor_char_boundary(QUOTE_BYTES);
        let why = format!("{status}: {:?}", &text[..end]);
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => CollectorError::Away(why),
            _ => CollectorError::Refused(why),
        })
    }
}

fn endpoint(text: &str) -> Result<Url, OtlpError> {
    let no_url = || OtlpError::Url(text.to_owned());
    let mut url = Url::parse(text).map_err(|_| no_url())?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(OtlpError::Secret);
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(no_url());
    }
    if url.path() == "/" {
        url.set_path("/v1/traces");
    }
    Ok(url)
}

fn headers(text: &str) -> Result<HeaderMap, OtlpError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let given = text.split(',').filter(|one| !one.trim().is_empty());
    for (at, one) in given.enumerate() {
        let header = one.split_once('=').and_then(|(name, value)| {
            let name: HeaderName = name.trim().parse().ok()?;
            let mut value: HeaderValue = percent_decode_str(value.trim())
                .decode_utf8()
                .ok()?
                .parse()
                .ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        let (name, value) = header.ok_or(OtlpError::Header(at + 1))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_gets_the_path_of_traces_and_another_keeps_its_own() {
        let path = |text: &str| endpoint(text).unwrap().path().to_owned();
        assert_eq!(path("http://127.0.0.1:4318"), "/v1/traces");
        assert_eq!(
            path("https://traces.example/otlp/v1/traces"),
            "/otlp/v1/traces"
        );
        for bad in ["127.0.0.1:4318", "ftp://x", "traces"] {
            assert!(matches!(endpoint(bad), Err(OtlpError::Url(_))), "{bad}");
        }
        for secret in ["http://me:pw@x/", "http://x/?key=1"] {
            assert!(
                matches!(endpoint(secret), Err(OtlpError::Secret)),
                "{secret}"
            );
        }
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let read = headers("x-team = blue ,authorization=Basic%20dXNlcjpwdw==").unwrap();
        assert_eq!(read["x-team"], "blue");
        assert_eq!(read["authorization"], "Basic dXNlcjpwdw==");
        assert!(read["authorization"].is_sensitive());
        for bad in ["novalue", "bad name=x", "x=%0A"] {
            assert!(matches!(headers(bad), Err(OtlpError::Header(1))), "{bad}");
        }
    }
}
