//! Links on their way: handshakes, messages, and their ends.

use seamesh_sidecar_core::{CloseReason, Input, LinkId, Piece};

use crate::channels::End;
use crate::network::{HANDSHAKE_AGAIN_MS, HANDSHAKE_MS, LINK_MS, LINK_TIMEOUT_MS, Name, Way};
use crate::sometimes::Sight;
use crate::world::{Event, World};

impl World {
    pub(crate) fn shake_hands(&mut self, end: End, is_ready: bool) {
        if is_ready {
            let ms = self.network.takes(HANDSHAKE_MS);
            self.after(ms, Event::Open { end });
        }
    }

    pub(crate) fn open_link(&mut self, end: &End) {
        let Some(other) = self.channels.remote(end) else {
            return;
        };
        let is_away = |node: &str| self.is_paused(node);
        let unheard = self.network.is_cut(&end.node, &other.node);
        if unheard || is_away(&end.node) || is_away(&other.node) {
            // Its checks go on until its time is over.
            let end = end.clone();
            return self.after(HANDSHAKE_AGAIN_MS, Event::Open { end });
        }
        if let Some((a, b)) = self.channels.open(end) {
            let text = format!("link {} = {}", a.node, b.node);
            self.transcript.note(self.at, &text);
            for end in [a, b] {
                self.tell_sidecar(
                    &end.node,
                    Input::LinkOpened {
                        link: end.link,
                        relayed: false,
                    },
                );
            }
        }
    }

    /// A link did not open in its time.
    pub(crate) fn link_overdue(&mut self, end: &End) {
        if self.channels.is_there(end) && !self.channels.is_open(end) && self.is_alive(end) {
            self.sometimes.mark(Sight::NotOpened);
            self.channels.close(end);
            let (link, reason) = (end.link, CloseReason::NotOpened);
            self.local(end, Input::LinkClosed { link, reason });
        }
    }

    /// A message arrives; when the network is cut, once it heals, if the link lives that long.
    pub(crate) fn deliver(&mut self, end: End, piece: Piece) {
        let Some(other) = self.channels.remote(&end) else {
            return;
        };
        if !self.channels.is_open(&end) || !self.is_alive(&end) {
            return;
        }
        if self.network.is_blocked(&other.node, &end.node) {
            let (a, b) = (other.node, end.node.clone());
            return self.hold(&a, &b, Event::Deliver { end, piece });
        }
        self.tell_pieces(&other.node, &end.node, &piece);
        let link = end.link;
        self.tell_sidecar(&end.node, Input::LinkMessage { link, piece });
    }

    fn tell_pieces(&mut self, from: &Name, to: &Name, piece: &Piece) {
        self.transcript.mix(piece.bytes());
        if !self.transcript.is_written {
            return;
        }
        for line in piece.bytes().split(|b| *b == b'\n') {
            if let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) {
                let kind = message["type"].as_str().unwrap_or("?").to_owned();
                let mut body = message["payload"].clone();
                body["task"] = message["task"].clone();
                self.transcript.write(self.at, from, to, &kind, &body);
            }
        }
    }

    pub(crate) fn send_pieces(&mut self, name: &Name, link: LinkId) {
        let own = self.end(name, link);
        let Some(end) = self.channels.remote(&own) else {
            return;
        };
        let core = |world: &mut Self| {
            let core = world.sidecars.get_mut(name).and_then(|n| n.core.as_mut());
            core.and_then(|core| core.take_piece(link, usize::MAX))
        };
        while let Some(piece) = core(self) {
            let end = end.clone();
            let ms = self.network.takes(LINK_MS);
            let way = Way::Link(end.clone());
            let at = self.network.arrival(way, self.at, ms);
            self.at_time(at, Event::Deliver { end, piece }, false);
        }
    }

    /// An end closes a link and says so to the other, which may not hear it.
    pub(crate) fn close_link(&mut self, end: &End) {
        let Some(other) = self.channels.close(end) else {
            return;
        };
        match self.network.is_blocked(&end.node, &other.node) {
            true => self.after(
                LINK_TIMEOUT_MS,
                Event::Gone {
                    end: other,
                    silent: true,
                },
            ),
            // The close keeps its place among the messages.
            false => {
                let ms = self.network.takes(LINK_MS);
                let way = Way::Link(other.clone());
                let at = self.network.arrival(way, self.at, ms);
                let gone = Event::Gone {
                    end: other,
                    silent: false,
                };
                self.at_time(at, gone, false);
            }
        }
    }

    pub(crate) fn link_gone(&mut self, end: &End, silent: bool) {
        if !self.is_alive(end) || !self.channels.is_there(end) {
            return;
        }
        let is_heard = self.channels.remote(end).is_some_and(|other| {
            self.is_alive(&other)
                && self.channels.is_there(&other)
                && !self.is_paused(&other.node)
                && !self.network.is_cut(&end.node, &other.node)
        });
        if silent && is_heard && self.channels.is_open(end) {
            return;
        }
        let reason = match silent {
            true => CloseReason::TimedOut,
            false => CloseReason::Remote,
        };
        if silent {
            self.sometimes.mark(Sight::LinkSilent);
        }
        if let Some(end) = self.channels.close(end).filter(|_| silent) {
            self.after(LINK_TIMEOUT_MS, Event::Gone { end, silent: true });
        }
        let link = end.link;
        self.tell_sidecar(&end.node, Input::LinkClosed { link, reason });
    }
}
