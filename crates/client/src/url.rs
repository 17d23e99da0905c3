//! The address of a registry, and the URLs made from it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// Why a text is not the address of a registry. Each says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No `http://` or `https://` in front.
    #[error(
        "{0:?} has no scheme: write http://{0} (or https://{0} when the registry stands behind TLS)"
    )]
    NoScheme(String),
    /// A scheme a registry is not reached by.
    #[error(
        "{url:?} begins with {scheme}://: write http:// or https://, the WebSocket's address is made from it"
    )]
    BadScheme {
        /// What was given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// Not a URL at all.
    #[error("{url:?} is not a URL ({reason}): write it like http://127.0.0.1:8080")]
    Malformed {
        /// What was given.
        url: String,
        /// What the parser says.
        reason: String,
    },
    /// A user or password in the URL.
    #[error(
        "a registry's address holds no user and password: give the key with --api-key or SEAMESH_API_KEY"
    )]
    Credentials,
    /// `?…` or `#…` after the address.
    #[error("{0:?} has a query or a fragment: leave out everything from the first ? or # on")]
    Extra(String),
}

/// The address of a registry: scheme, host, port and the path it is served under, if any.
///
/// Trailing slashes do not matter. `http` and `https` are what is written; `ws` and `wss` are derived.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryUrl(Url);

impl RegistryUrl {
    /// The URL of a route, from its path segments. Segments are percent-encoded.
    pub fn http(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The URL of the signaling WebSocket: `ws` for `http`, `wss` for `https`.
    pub fn websocket(&self) -> Url {
        let mut url = self.http(&["ws"]);
        let scheme = if self.is_tls() { "wss" } else { "ws" };
        // Both are "special" schemes (WHATWG URL), between which a change is always allowed.
        url.set_scheme(scheme).expect("http(s) becomes ws(s)");
        url
    }

    /// The URL of a page of the hub, from the path the registry gave (which may hold a fragment).
    pub fn page(&self, path: &str) -> String {
        format!("{}/{}", self, path.trim_start_matches('/'))
    }

    /// Whether the registry is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host without brackets, and port.
    pub fn host_port(&self) -> (&str, u16) {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port_or_known_default().unwrap_or_default();
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }

    /// Whether the registry is on this machine, as far as its address tells.
    pub fn is_loopback(&self) -> bool {
        let (host, _) = self.host_port();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for RegistryUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(UrlError::NoScheme(text.to_owned()));
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            let url = text.to_owned();
            return Err(UrlError::BadScheme { url, scheme });
        }
        let mut url = Url::parse(text).map_err(|e| UrlError::Malformed {
            url: text.to_owned(),
            reason: e.to_string(),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Extra(text.to_owned()));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RegistryUrl {
        text.parse().unwrap()
    }

    #[test]
    fn http_becomes_ws_and_https_becomes_wss() {
        for (given, socket) in [
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
            ("https://mesh.example", "wss://mesh.example/ws"),
            ("HTTPS://Mesh.Example:8443", "wss://mesh.example:8443/ws"),
            ("http://[::1]:9", "ws://[::1]:9/ws"),
        ] {
            assert_eq!(url(given).websocket().as_str(), socket);
        }
    }

    #[test]
    fn trailing_slashes_and_path_prefixes_make_no_double_slash() {
        for given in [
            "http://h:1/mesh",
            "http://h:1/mesh/",
            "http://h:1/mesh//",
            " http://h:1/mesh/ ",
        ] {
            let url = url(given);
            assert_eq!(
                url.http(&["api", "token"]).as_str(),
                "http://h:1/mesh/api/token"
            );
            assert_eq!(url.websocket().as_str(), "ws://h:1/mesh/ws");
            assert_eq!(url.page("/#login=x"), "http://h:1/mesh/#login=x");
            assert_eq!(url.to_string(), "http://h:1/mesh");
        }
        assert_eq!(
            url("http://h:1/").http(&["healthz"]).as_str(),
            "http://h:1/healthz"
        );
        assert_eq!(url("http://h:1/").to_string(), "http://h:1");
    }

    #[test]
    fn segments_cannot_break_out_of_their_place() {
        let made = url("http://h").http(&["api", "keys", "a/b?c#d"]);
        assert_eq!(made.as_str(), "http://h/api/keys/a%2Fb%3Fc%23d");
    }

    #[test]
    fn whatever_is_not_a_registry_address_is_refused_with_the_next_step() {
        for (given, says) in [
            ("127.0.0.1:8080", "write http://127.0.0.1:8080"),
            ("localhost", "write http://localhost"),
            ("ws://h:1", "write http:// or https://"),
            ("ftp://h", "write http:// or https://"),
            ("http://", "write it like http://127.0.0.1:8080"),
            ("http://h:99999", "write it like"),
            ("http://user:pw@h", "--api-key"),
            ("http://h/?token=x", "leave out"),
            ("http://h/#x", "leave out"),
        ] {
            let error = given.parse::<RegistryUrl>().unwrap_err().to_string();
            assert!(error.contains(says), "{given}: {error}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_not_repeated_in_the_error() {
        let error = "http://user:hunter2@h".parse::<RegistryUrl>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn loopback_is_told_by_the_address() {
        for local in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost"] {
            assert!(url(local).is_loopback(), "{local}");
        }
        for remote in ["http://10.0.0.1", "https://mesh.example"] {
            assert!(!url(remote).is_loopback(), "{remote}");
        }
    }

    #[test]
    fn host_and_port_are_ready_to_dial() {
        assert_eq!(url("http://[::1]:9").host_port(), ("::1", 9));
        assert_eq!(
            url("https://mesh.example").host_port(),
            ("mesh.example", 443)
        );
        assert_eq!(url("http://mesh.example").host_port(), ("mesh.example", 80));
    }
}
