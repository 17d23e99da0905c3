//! Every route of the table against every role.

use reqwest::Method;
use seamesh_proto::rest::Role;
use seamesh_proto::routes::{Access, ROUTES, Route};
use serde_json::json;

use crate::fixture::{Registry, refused};

const ROLES: [(Role, &str); 4] = [
    (Role::Agent, "agent"),
    (Role::Viewer, "viewer"),
    (Role::Operator, "operator"),
    (Role::Admin, "admin"),
];

fn method(route: &Route) -> Method {
    Method::from_bytes(route.method.as_bytes()).unwrap()
}

/// A path that names nothing that exists.
fn path(route: &Route) -> String {
    let mut path = route.path.to_owned();
    for parameter in [
        "{agent_id}",
        "{task_id}",
        "{key_id}",
        "{session_id}",
        "{id}",
    ] {
        path = path.replace(parameter, "nothing");
    }
    path
}

#[tokio::test]
async fn without_a_credential_every_route_but_the_open_ones_is_401() {
    let registry = Registry::start().await;
    for route in ROUTES.iter().filter(|r| r.access != Access::Open) {
        let request = registry.bare(method(route), &path(route)).json(&json!({}));
        let answer = refused(request).await;
        assert_eq!(answer, (401, "unauthorized".into()), "{}", route.operation);
    }
}

#[tokio::test]
async fn a_wrong_role_is_403_and_a_right_one_is_let_in() {
    let registry = Registry::start().await;
    for (role, name) in ROLES {
        let key = registry.key(&format!("peer-{name}"), name).await;
        for route in ROUTES {
            let Access::Roles(roles) = route.access else {
                continue;
            };
            // The stream never ends, and is tested on its own; a request for it is let in or refused at its head.
            let request = registry.request(method(route), &path(route), &key);
            let response = request.json(&json!({})).send().await.unwrap();
            let status = response.status().as_u16();
            if roles.contains(&role) {
                assert!(
                    !matches!(status, 401 | 403),
                    "{} as {name}: {status}",
                    route.operation
                );
            } else {
                assert_eq!(status, 403, "{} as {name}", route.operation);
            }
        }
    }
}

#[tokio::test]
async fn open_routes_answer_anybody() {
    let registry = Registry::start().await;
    for route in ROUTES.iter().filter(|r| r.access == Access::Open) {
        let request = registry.bare(method(route), &path(route)).json(&json!({}));
        let status = request.send().await.unwrap().status().as_u16();
        // These say 401 to whoever brings no key or device token.
        let expected = if route.operation == "health" {
            200
        } else if matches!(route.operation, "token" | "pairing_status") {
            401
        } else {
            422
        };
        assert_eq!(status, expected, "{}", route.operation);
    }
}
