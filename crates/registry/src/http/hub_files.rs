//! The dashboard's files, embedded in the binary.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};
use seamesh_proto::Code;

use super::call::header_text;
use super::problem::Failure;

#[derive(RustEmbed)]
#[folder = "../../hub/dist"]
#[allow_missing = true]
struct HubFiles;

/// The page for a registry that was built before its dashboard.
const NOT_BUILT: &str = "The registry runs. Its dashboard is not built into this binary.\n\
     Build it with `cargo xtask build-hub`, then build the registry again.\n";

/// What the dashboard's pages may do: load from the registry they came from, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Assets carry a hash of their content in their name: what is behind a name never changes.
const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";

/// Pages are asked for again each time; the ETag makes that cheap.
const CACHE_CHECKED: &str = "no-cache";

/// Answers whatever is no route: a file of the dashboard, its page, or a problem.
pub(super) fn fallback(request: &Request) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path().trim_start_matches('/');
    let mut response = if path.starts_with("api/") || path == "api" || !reads {
        Failure::new(
            Code::NotFound,
            "no such route; GET /api/openapi.json lists them",
        )
        .into_response()
    } else {
        page_or_file(path, request.headers())
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page_or_file(path: &str, request: &HeaderMap) -> Response {
    if !path.is_empty() && HubFiles::get(path).is_some() {
        return file(path, request);
    }
    // A name with a dot is a file that does not exist; anything else is a place within the page.
    let is_file = path
        .rsplit('/')
        .next()
        .is_some_and(|name| name.contains('.'));
    if is_file {
        return Failure::new(Code::NotFound, "no such file").into_response();
    }
    if HubFiles::get("index.html").is_some() {
        return file("index.html", request);
    }
    if path.is_empty() {
        let mut response = NOT_BUILT.into_response();
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        return response;
    }
    Failure::new(Code::NotFound, "no such page").into_response()
}

/// One file that exists, compressed where a compressed one stands beside it and the client takes it.
fn file(path: &str, request: &HeaderMap) -> Response {
    let compressed = takes_brotli(request)
        .then(|| HubFiles::get(&format!("{path}.br")))
        .flatten();
    let encoded = compressed.is_some();
    let Some(found) = compressed.or_else(|| HubFiles::get(path)) else {
        return Failure::new(Code::NotFound, "no such file").into_response();
    };
    let etag = etag(&found);
    let known = header_text(request, header::IF_NONE_MATCH.as_str());
    let mut response = if known.is_some_and(|list| list.split(',').any(|e| e.trim() == etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(found.data.into_owned()))
    };
    let cache = if path.starts_with("assets/") {
        CACHE_FOREVER
    } else {
        CACHE_CHECKED
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(path)),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    if encoded {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

/// `br` among the accepted encodings (RFC 9110, section 12.5.3), and not with quality 0.
fn takes_brotli(request: &HeaderMap) -> bool {
    let accepted = header_text(request, header::ACCEPT_ENCODING.as_str()).unwrap_or_default();
    accepted.split(',').any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        parts.next() == Some("br")
            && !parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
        takes_brotli(&headers)
    }

    #[test]
    fn brotli_is_sent_only_to_those_who_take_it() {
        assert!(accepts("gzip, deflate, br, zstd"));
        assert!(accepts("br;q=0.8"));
        assert!(!accepts("gzip, br;q=0"));
        assert!(!accepts("brotli"));
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn scripts_and_styles_have_the_types_that_nosniff_asks_for() {
        assert_eq!(
            content_type("assets/a.b.js"),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(content_type("assets/a.css"), "text/css; charset=utf-8");
        assert_eq!(content_type("noending"), "application/octet-stream");
    }
}
