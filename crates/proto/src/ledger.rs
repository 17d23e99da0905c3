//! The seam ledger: every (channel, message kind, producer -> consumer) of the mesh.
//!
//! Nobody writes the ledger by hand: the `messages!` declarations and the route table each carry who says a thing to
//! whom, and [`rows`] lists them. `cargo xtask seams` prints it.

use serde::Serialize;

use crate::{events, ipc, link, routes, signaling};

/// What a message travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// WebSocket between sidecar and registry.
    Signaling,
    /// DataChannel between two sidecars.
    Link,
    /// Unix socket between agent and sidecar.
    Ipc,
    /// HTTP to the registry.
    Rest,
    /// Server-sent events of the registry.
    EventStream,
}

/// Who produces or consumes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The control plane.
    Registry,
    /// An agent's network half.
    Sidecar,
    /// An agent on the Python SDK.
    PythonAgent,
    /// An agent on the Rust SDK.
    RustAgent,
    /// The dashboard in the browser.
    Hub,
    /// The `seamesh` command and other programs of an operator.
    Cli,
}

impl Channel {
    /// Its name in ids and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signaling => "signaling",
            Self::Link => "link",
            Self::Ipc => "ipc",
            Self::Rest => "rest",
            Self::EventStream => "event_stream",
        }
    }
}

impl Party {
    /// Its name in ids and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Sidecar => "sidecar",
            Self::PythonAgent => "python_agent",
            Self::RustAgent => "rust_agent",
            Self::Hub => "hub",
            Self::Cli => "cli",
        }
    }

    /// Who calls a route, by the `user-agent` of the request: our clients name themselves, a browser is the hub.
    pub fn of_user_agent(text: &str) -> Option<Self> {
        let ours = [Self::Sidecar, Self::Cli, Self::PythonAgent];
        let named = |party: &&Self| {
            let rest = text.strip_prefix("seamesh-");
            rest.is_some_and(|rest| rest.split('/').next() == Some(party.name()))
        };
        let browser = || text.starts_with("Mozilla/").then_some(Self::Hub);
        ours.iter().find(named).copied().or_else(browser)
    }
}

/// The id of a row: `channel/kind/producer>consumer`, with `*` for who is not known. For REST the kind is
/// `operation.request` or `operation.answer`.
pub fn row_id(
    channel: Channel,
    kind: &str,
    producer: Option<Party>,
    consumer: Option<Party>,
) -> String {
    let name = |party: Option<Party>| party.map_or("*", Party::name);
    let (producer, consumer) = (name(producer), name(consumer));
    format!("{}/{kind}/{producer}>{consumer}", channel.name())
}

/// The ledger entry of one message kind, as its declaration states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seam {
    /// The channel.
    pub channel: Channel,
    /// The message kind, as it stands in `type`.
    pub kind: &'static str,
    /// Everybody who says it.
    pub producers: &'static [Party],
    /// Everybody it is said to.
    pub consumers: &'static [Party],
}

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// Names it, for as long as the kind and its two ends keep their names; see [`row_id`].
    pub id: String,
    /// The channel.
    pub channel: Channel,
    /// The message kind; for REST the route with `request` or `answer` after it.
    pub kind: String,
    /// Who says it.
    pub producer: Party,
    /// Who must act on it.
    pub consumer: Party,
}

/// Every row, in a stable order: by channel, then as declared.
pub fn rows() -> Vec<Row> {
    let declared = [
        signaling::ClientSignal::SEAMS,
        signaling::RegistrySignal::SEAMS,
        link::SidecarLink::SEAMS,
        link::AgentLink::SEAMS,
        ipc::AgentCommand::SEAMS,
        ipc::AgentEvent::SEAMS,
    ];
    let mut rows: Vec<Row> = declared.into_iter().flatten().flat_map(expand).collect();
    rows.extend(routes::ROUTES.iter().flat_map(route_rows));
    rows.extend(events::MeshEvent::SEAMS.iter().flat_map(expand));
    rows
}

fn expand(seam: &Seam) -> Vec<Row> {
    let pairs = seam
        .producers
        .iter()
        .flat_map(|p| seam.consumers.iter().map(move |c| (*p, *c)));
    pairs
        .map(|(producer, consumer)| Row {
            id: row_id(seam.channel, seam.kind, Some(producer), Some(consumer)),
            channel: seam.channel,
            kind: seam.kind.to_owned(),
            producer,
            consumer,
        })
        .collect()
}

fn route_rows(route: &routes::Route) -> Vec<Row> {
    let name = format!("{} {}", route.method, route.path);
    let row = |what: &str, producer, consumer| Row {
        id: row_id(
            Channel::Rest,
            &format!("{}.{what}", route.operation),
            Some(producer),
            Some(consumer),
        ),
        channel: Channel::Rest,
        kind: format!("{name} {what}"),
        producer,
        consumer,
    };
    route
        .callers
        .iter()
        .flat_map(|&caller| {
            [
                row("request", caller, Party::Registry),
                row("answer", Party::Registry, caller),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_declared_twice() {
        let mut all = rows();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn an_id_names_one_row() {
        let mut ids: Vec<String> = rows().into_iter().map(|row| row.id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn callers_are_known_by_their_user_agent() {
        let of = Party::of_user_agent;
        assert_eq!(of("seamesh-cli/0.1.0"), Some(Party::Cli));
        assert_eq!(of("seamesh-python_agent/1"), Some(Party::PythonAgent));
        assert_eq!(of("Mozilla/5.0 (X11)"), Some(Party::Hub));
        assert_eq!(of("curl/8"), None);
    }

    #[test]
    fn every_channel_has_rows() {
        for channel in [
            Channel::Signaling,
            Channel::Link,
            Channel::Ipc,
            Channel::Rest,
            Channel::EventStream,
        ] {
            assert!(
                rows().iter().any(|r| r.channel == channel),
                "{channel:?} has no row"
            );
        }
    }
}
