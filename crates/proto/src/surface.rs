//! Everything that somebody can say to a process of the mesh from outside, a row each: the routes, the frames on the
//! signaling socket, the commands on the IPC socket. A row says who is heard, and what comes of it when what is named is
//! somebody else's.
//!
//! A kind without a row does not compile. Tests walk the rows against a running registry and a running sidecar.

use crate::ipc::AgentCommand;
use crate::ledger::Channel;
use crate::problem::Code;
use crate::rest::Role;
use crate::routes::{Access, ROUTES, Route};
use crate::signaling::ClientSignal;

/// Who is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Whom the route table lets in. Signaling frames are heard from whoever the route of their socket let in, as long as
    /// they name that peer as their sender.
    Access(Access),
    /// One client at a time, of the user that the sidecar runs as, or of root.
    OwnUser,
}

/// What comes of it when what is named belongs to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It names nothing but its sender and what its sender began.
    Unsaid,
    /// It names its receiver, who is told who sent it by the process between, not by the sender.
    Addressed,
    /// Whoever is heard may know or do it.
    Shared,
    /// What it says of its source is replaced by what is true.
    PutRight,
    /// It is refused with this code, and nothing else happens.
    Refused(Code),
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is said on: REST, signaling or IPC.
    pub channel: Channel,
    /// The operation of a route, or the message kind.
    pub name: &'static str,
    /// Who is heard.
    pub heard: Heard,
    /// What comes of it for somebody else.
    pub foreign: Foreign,
}

use Foreign::{Addressed, PutRight, Refused, Shared, Unsaid};

/// The routes that an agent may call. Of the others, their roles decide all.
const ROUTES_OF_AGENTS: &[(&str, Foreign)] = &[
    ("openapi", Unsaid),
    ("signaling", Unsaid),
    ("ice_config", Unsaid),
    ("register_agent", Refused(Code::Forbidden)),
    ("list_agents", Shared),
    ("get_agent", Shared),
    ("remove_agent", Refused(Code::Forbidden)),
    ("route_skill", Shared),
    ("heartbeat", Refused(Code::Forbidden)),
    ("submit_task", PutRight),
    // Ids of tasks are not guessed, and nobody is told those of others.
    ("get_task", Shared),
    ("update_task", Refused(Code::LeaseStale)),
    ("cancel_task", Refused(Code::Forbidden)),
    ("answer_task", Refused(Code::Forbidden)),
    ("wait_task", Shared),
    ("task_chunks", Refused(Code::Forbidden)),
    ("task_history", Shared),
    ("session", Unsaid),
    ("logout", Unsaid),
];

/// The frames of the signaling socket.
const FRAMES: &[(&str, Foreign)] = &[
    ("register", Unsaid),
    ("offer", Addressed),
    ("answer", Addressed),
    ("ice_candidate", Addressed),
    ("link_refused", Addressed),
    ("heartbeat", Refused(Code::Forbidden)),
    ("agent_register", Refused(Code::Forbidden)),
    ("agent_away", Refused(Code::Forbidden)),
    ("agent_remove", Refused(Code::Forbidden)),
    // Of the sender's own links.
    ("links", Unsaid),
    ("task_submit", PutRight),
    ("task_result", Refused(Code::LeaseStale)),
    ("task_news", Refused(Code::LeaseStale)),
    ("task_input", Refused(Code::Forbidden)),
    ("task_release", Refused(Code::LeaseStale)),
    ("task_watch", Shared),
    ("task_cancel", Refused(Code::Forbidden)),
    ("task_report", PutRight),
];

/// The commands of the IPC socket.
const COMMANDS: &[(&str, Foreign)] = &[
    ("hello", Refused(Code::Forbidden)),
    ("send", Addressed),
    ("broadcast", Addressed),
    ("list_peers", Unsaid),
    ("connect", Addressed),
    ("request", Refused(Code::TaskUnknown)),
    ("cancel", Unsaid),
    ("task_news", Refused(Code::TaskUnknown)),
    ("request_input", Unsaid),
    ("respond", Refused(Code::TaskUnknown)),
    ("agents", Shared),
    ("goodbye", Unsaid),
];

const _: () = assert!(
    covers(ClientSignal::KINDS, FRAMES),
    "each frame of a sidecar has a row, and only those"
);
const _: () = assert!(
    covers(AgentCommand::KINDS, COMMANDS),
    "each command has a row, and only those"
);
const _: () = assert!(
    covers_agents(ROUTES, ROUTES_OF_AGENTS),
    "each route of an agent has a row, and only those"
);

/// The whole table: routes, frames, commands, each as declared.
pub fn rows() -> Vec<Row> {
    let routes = ROUTES.iter().map(|route| Row {
        channel: Channel::Rest,
        name: route.operation,
        heard: Heard::Access(route.access),
        foreign: find(ROUTES_OF_AGENTS, route.operation).unwrap_or(Shared),
    });
    let socket = ROUTES.iter().find(|route| route.operation == "signaling");
    let socket = socket.map_or(Access::Roles(&[]), |route| route.access);
    let of = |channel, heard| {
        move |(name, foreign): &(&'static str, Foreign)| Row {
            channel,
            name,
            heard,
            foreign: *foreign,
        }
    };
    let frames = FRAMES
        .iter()
        .map(of(Channel::Signaling, Heard::Access(socket)));
    let commands = COMMANDS.iter().map(of(Channel::Ipc, Heard::OwnUser));
    routes.chain(frames).chain(commands).collect()
}

fn find(rows: &[(&str, Foreign)], name: &str) -> Option<Foreign> {
    let found = rows.iter().find(|(row, _)| *row == name);
    found.map(|(_, foreign)| *foreign)
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const fn has(rows: &[(&str, Foreign)], name: &str) -> bool {
    let mut at = 0;
    while at < rows.len() {
        if same(rows[at].0, name) {
            return true;
        }
        at += 1;
    }
    false
}

const fn covers(names: &[&str], rows: &[(&str, Foreign)]) -> bool {
    let mut at = 0;
    while at < names.len() {
        if !has(rows, names[at]) {
            return false;
        }
        at += 1;
    }
    names.len() == rows.len()
}

const fn is_of_agents(route: &Route) -> bool {
    let Access::Roles(roles) = route.access else {
        return false;
    };
    let mut at = 0;
    while at < roles.len() {
        if matches!(roles[at], Role::Agent) {
            return true;
        }
        at += 1;
    }
    false
}

const fn covers_agents(routes: &[Route], rows: &[(&str, Foreign)]) -> bool {
    let (mut at, mut count) = (0, 0);
    while at < routes.len() {
        if is_of_agents(&routes[at]) {
            count += 1;
            if !has(rows, routes[at].operation) {
                return false;
            }
        }
        at += 1;
    }
    count == rows.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_row_and_one_too_many_are_noticed() {
        let two = [("a", Unsaid), ("b", Shared)];
        assert!(covers(&["a", "b"], &two));
        assert!(!covers(&["a", "c"], &two));
        assert!(!covers(&["a"], &two));
        assert!(!covers(&["a", "b", "bb"], &two));
    }

    #[test]
    fn routes_frames_and_commands_stand_in_one_table() {
        let rows = rows();
        let of = |channel| rows.iter().filter(|row| row.channel == channel).count();
        assert_eq!(of(Channel::Rest), ROUTES.len());
        assert_eq!(of(Channel::Signaling), ClientSignal::KINDS.len());
        assert_eq!(of(Channel::Ipc), AgentCommand::KINDS.len());
    }
}
