//! One connection attempt with a peer, from the dial to the open link.

use bytes::Bytes;
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::MAX_EARLY_CANDIDATES;
use seamesh_proto::link::MeshMessage;
use seamesh_proto::payload::Raw;
use seamesh_proto::signaling::{ClientSignal, Description, IceCandidate};
use seamesh_proto::{Now, PROTOCOL_VERSION, Payload, PeerId, seam};
use serde_json::json;

use crate::effects::Effects;
use crate::framing::{Inbound, Outbound};
use crate::{LinkId, Output, Piece};

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// We dialed and have no answer yet.
    Dialing,
    /// Descriptions are exchanged, or the peer's offer is being answered.
    Connecting,
    /// Messages pass.
    Open,
}

/// The attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) link: LinkId,
    /// What the offerer called it; old offerers give no name.
    pub(crate) tag: Option<String>,
    pub(crate) stage: Stage,
    pub(crate) is_native: bool,
    /// The peer's identity was checked.
    pub(crate) is_identified: bool,
    /// It passes a TURN server.
    pub(crate) is_relayed: bool,
    pub(crate) opened_at: Now,
    pub(crate) out: Outbound,
    pub(crate) inbound: Inbound,
    /// Bytes to grant the peer with the next message.
    owed: usize,
    /// The shell knows that something waits.
    is_announced: bool,
    /// Our offer and candidates, kept until the answer: the peer may not have been there when they left.
    said: Vec<ClientSignal>,
}

impl Attempt {
    /// An attempt that we start.
    pub(crate) fn dial(link: LinkId, tag: String) -> Self {
        Self::new(link, Some(tag), Stage::Dialing, true)
    }

    /// An attempt that the peer's offer starts.
    pub(crate) fn accept(link: LinkId, offer: &Description, is_identified: bool) -> Self {
        let is_native = offer.version.is_some();
        let attempt = Self::new(link, offer.link.clone(), Stage::Connecting, is_native);
        Self {
            is_identified,
            ..attempt
        }
    }

    fn new(link: LinkId, tag: Option<String>, stage: Stage, is_native: bool) -> Self {
        Self {
            link,
            tag,
            stage,
            is_native,
            is_identified: false,
            is_relayed: false,
            opened_at: Now::default(),
            out: Outbound::new(is_native),
            inbound: Inbound::default(),
            owed: 0,
            is_announced: false,
            said: Vec::new(),
        }
    }

    /// The peer answered.
    pub(crate) fn answered(&mut self, answer: &Description, is_identified: bool) {
        self.is_identified = is_identified;
        self.is_native = answer.version.is_some();
        self.out = Outbound::new(self.is_native);
        self.stage = Stage::Connecting;
        self.said = Vec::new();
    }

    /// Our description, as it goes to the peer.
    pub(crate) fn description(&self, sdp: String) -> Description {
        Description {
            sdp,
            link: self.tag.clone(),
            version: Some(PROTOCOL_VERSION),
            identity: None,
        }
    }

    /// Our candidate, as it goes to the peer.
    pub(crate) fn candidate(&self, candidate: IceCandidate) -> IceCandidate {
        IceCandidate {
            link: self.tag.clone(),
            ..candidate
        }
    }

    /// Says a part of our offer, and remembers it while there is no answer.
    pub(crate) fn say(&mut self, peer: &PeerId, signal: ClientSignal, fx: &mut Effects) {
        fx.signal(Some(peer), &signal);
        if self.stage == Stage::Dialing && self.said.len() <= MAX_EARLY_CANDIDATES {
            self.said.push(signal);
        }
    }

    /// Says the whole offer again.
    pub(crate) fn repeat(&self, peer: &PeerId, fx: &mut Effects) {
        for signal in &self.said {
            fx.signal(Some(peer), signal);
        }
    }

    /// Whether an answer or candidate with this tag is meant for this attempt. Old peers name none: then it is meant
    /// for whatever attempt there is.
    pub(crate) fn is_meant(&self, tag: Option<&String>) -> bool {
        tag.is_none() || tag == self.tag.as_ref()
    }

    /// Tells the shell once that something waits.
    pub(crate) fn announce(&mut self, fx: &mut Effects) {
        if !self.is_announced && !self.is_empty() {
            self.is_announced = true;
            fx.push(Output::LinkReady { link: self.link });
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.out.len() == 0 && self.owed == 0
    }

    /// The next DataChannel message, if `room` bytes take it: what the peer is granted, before our own.
    pub(crate) fn take(&mut self, room: usize) -> Option<Piece> {
        if self.owed == 0 {
            return self.out.take(room);
        }
        let body = json!({ "bytes": self.owed });
        let grant = Raw::of(&MeshMessage::new("link_credit", Payload::new(body)));
        let grant = grant.text().as_bytes();
        if grant.len() > room {
            return None;
        }
        self.owed = 0;
        let me = Party::Sidecar;
        if seam::said(Channel::Link, "link_credit", me, Some(me)) == 0 {
            return self.out.take(room);
        }
        Some(Piece::Text(Bytes::copy_from_slice(grant)))
    }

    /// Owes the peer so many bytes more.
    pub(crate) fn owe(&mut self, bytes: usize, fx: &mut Effects) {
        if self.is_native {
            self.owed += bytes;
            self.announce(fx);
        }
    }

    /// The shell took what it could and now waits for more, or for room.
    pub(crate) fn exhausted(&mut self) {
        self.is_announced = false;
    }
}
