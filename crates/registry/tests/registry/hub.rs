//! The dashboard's files and their headers.

use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, ETAG, IF_NONE_MATCH};

use crate::fixture::Registry;

#[tokio::test]
async fn the_page_or_the_way_to_build_it_is_served_under_a_strict_policy() {
    let registry = Registry::start().await;
    let response = registry.bare(Method::GET, "/").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.starts_with("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let etag = response.headers().get(ETAG).cloned();
    let text = response.text().await.unwrap();
    match etag {
        Some(etag) => {
            assert!(text.contains("<html"), "{text}");
            let again = registry.bare(Method::GET, "/").header(IF_NONE_MATCH, etag);
            assert_eq!(again.send().await.unwrap().status().as_u16(), 304);
            let place = registry
                .bare(Method::GET, "/tasks/some")
                .send()
                .await
                .unwrap();
            assert_eq!(
                place.text().await.unwrap(),
                text,
                "the page finds its own places"
            );
        }
        None => assert!(text.contains("cargo xtask build-hub"), "{text}"),
    }
}

#[tokio::test]
async fn every_script_and_style_of_the_page_is_served_with_its_type_and_kept_forever() {
    let registry = Registry::start().await;
    let page = registry
        .bare(Method::GET, "/")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let assets = page.split('"').filter(|part| part.contains("assets/"));
    for asset in assets {
        let path = format!("/{}", asset.trim_start_matches(['.', '/']));
        let request = registry
            .bare(Method::GET, &path)
            .header(ACCEPT_ENCODING, "br");
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let headers = response.headers();
        assert!(
            headers["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable"),
            "{path}"
        );
        let kind = headers["content-type"].to_str().unwrap();
        assert_ne!(kind, "application/octet-stream", "{path}");
    }
}

#[tokio::test]
async fn the_openapi_document_lists_every_route() {
    let registry = Registry::start().await;
    let document = registry.get("/api/openapi.json", &registry.admin).await;
    for route in seamesh_proto::routes::ROUTES {
        let method = route.method.to_ascii_lowercase();
        let operation = &document["paths"][route.path][method.as_str()];
        assert_eq!(operation["operationId"], route.operation, "{}", route.path);
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let registry = Registry::start().await;
    for path in ["/healthz", "/"] {
        let response = registry.bare(Method::HEAD, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        assert!(response.bytes().await.unwrap().is_empty());
    }
}
