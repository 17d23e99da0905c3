//! Links without WebRTC: two ends that know each other's description and a candidate each open after a handshake, keep
//! order, and time out when the network between them is cut.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use seamesh_sidecar_core::LinkId;

use crate::network::Name;

/// One end of a link: a node, how often it was started, and the link's number there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) node: Name,
    pub(crate) boot: u32,
    pub(crate) link: LinkId,
}

/// Descriptions and candidates of the simulated transport name the end and nothing else.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.node, self.boot, self.link.0)
    }
}

impl FromStr for End {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or(());
        let node = next()?.into();
        let boot = next()?.parse().map_err(|_| ())?;
        let link = LinkId(next()?.parse().map_err(|_| ())?);
        Ok(Self { node, boot, link })
    }
}

#[derive(Debug, Default)]
struct Half {
    /// The other end, from its description.
    remote: Option<End>,
    has_candidate: bool,
    is_open: bool,
    /// The node that it offers itself to.
    dials: Option<Name>,
}

/// Every end of every link.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    halves: BTreeMap<End, Half>,
}

impl Channels {
    pub(crate) fn start(&mut self, end: End) {
        self.halves.insert(end, Half::default());
    }

    /// An end was made to dial a node.
    pub(crate) fn dials(&mut self, end: &End, node: &str) {
        if let Some(half) = self.halves.get_mut(end) {
            half.dials = Some(node.into());
        }
    }

    /// Whether a node dials another, which has not answered yet.
    pub(crate) fn is_dialing(&self, node: &str, other: &str) -> bool {
        self.halves.iter().any(|(end, half)| {
            &*end.node == node && half.remote.is_none() && half.dials.as_deref() == Some(other)
        })
    }

    /// The other end's description came. `true`: both ends are ready to open.
    pub(crate) fn describe(&mut self, end: &End, remote: End) -> bool {
        if let Some(half) = self.halves.get_mut(end) {
            half.remote = Some(remote);
        }
        self.is_ready(end)
    }

    /// A candidate of the other end came. `true`: both ends are ready to open.
    pub(crate) fn candidate(&mut self, end: &End) -> bool {
        if let Some(half) = self.halves.get_mut(end) {
            half.has_candidate = true;
        }
        self.is_ready(end)
    }

    fn is_ready(&self, end: &End) -> bool {
        let ready = |end: &End, other: &End| {
            self.halves.get(end).is_some_and(|half| {
                half.remote.as_ref() == Some(other) && half.has_candidate && !half.is_open
            })
        };
        let remote = self.halves.get(end).and_then(|half| half.remote.as_ref());
        remote.is_some_and(|other| ready(end, other) && ready(other, end))
    }

    /// The handshake is over: both ends, if they are still there.
    pub(crate) fn open(&mut self, end: &End) -> Option<(End, End)> {
        if !self.is_ready(end) {
            return None;
        }
        let other = self.remote(end)?;
        for one in [end, &other] {
            self.halves.get_mut(one)?.is_open = true;
        }
        Some((end.clone(), other))
    }

    pub(crate) fn remote(&self, end: &End) -> Option<End> {
        self.halves.get(end)?.remote.clone()
    }

    pub(crate) fn is_open(&self, end: &End) -> bool {
        self.halves.get(end).is_some_and(|half| half.is_open)
    }

    /// An end is given up; answers its other end, when that one is still there.
    pub(crate) fn close(&mut self, end: &End) -> Option<End> {
        let other = self.halves.remove(end)?.remote?;
        self.halves.contains_key(&other).then_some(other)
    }

    /// A node lost everything. Its peers do not know yet; answers their ends.
    pub(crate) fn lose(&mut self, node: &str) -> Vec<End> {
        let own: Vec<End> = self
            .halves
            .keys()
            .filter(|end| &*end.node == node)
            .cloned()
            .collect();
        own.iter().filter_map(|end| self.close(end)).collect()
    }

    /// Open ends of links that a node has one end of, on both sides.
    pub(crate) fn of(&self, node: &str) -> Vec<End> {
        let is_one = |end: &End, half: &Half| {
            let other = half.remote.as_ref().map_or("", |r| &*r.node);
            half.is_open && (&*end.node == node || other == node)
        };
        let ends = self.halves.iter();
        let ends = ends.filter(|(end, half)| is_one(end, half));
        ends.map(|(end, _)| end.clone()).collect()
    }

    /// Whether an end has not been given up.
    pub(crate) fn is_there(&self, end: &End) -> bool {
        self.halves.contains_key(end)
    }

    /// Open ends between two nodes, on both sides.
    pub(crate) fn between(&self, a: &str, b: &str) -> Vec<End> {
        let is_one = |end: &End, half: &Half| {
            let other = half.remote.as_ref().map_or("", |r| &*r.node);
            half.is_open && ((&*end.node == a && other == b) || (&*end.node == b && other == a))
        };
        self.halves
            .iter()
            .filter(|(end, half)| is_one(end, half))
            .map(|(end, _)| end.clone())
            .collect()
    }

    /// Open links, each once, by node.
    pub(crate) fn links(&self) -> Vec<(Name, Name)> {
        let pair = |(end, half): (&End, &Half)| {
            let other = half.remote.as_ref().filter(|_| half.is_open)?;
            (end.node < other.node).then(|| (end.node.clone(), other.node.clone()))
        };
        self.halves.iter().filter_map(pair).collect()
    }
}
