//! The UDP socket and the links over it.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use seamesh_proto::signaling::IceCandidate;
use seamesh_sidecar_core::{CloseReason, DescriptionKind, Input, LinkId, Piece};
use seamesh_transport as transport;
use seamesh_transport::{
    Config, Event, Loopback, PeerClass, ReceiveBuffer, RtcTransport, Transmit, Transport, UdpIo,
    host_addresses,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::RunError;
use crate::ice_servers::IceServers;

/// The socket, and the transport once its STUN and TURN servers are known.
pub(crate) struct Network {
    io: UdpIo,
    /// The same socket again, for its readiness.
    readiness: UdpSocket,
    transport: Option<RtcTransport>,
    relay_only: bool,
    buffer: Option<Box<ReceiveBuffer>>,
    /// What the kernel had no room for.
    unsent: Option<Transmit>,
}

impl Network {
    /// Binds the socket.
    ///
    /// # Errors
    /// [`RunError::Udp`].
    pub(crate) fn bind(address: SocketAddr, relay_only: bool) -> Result<Self, RunError> {
        let bind = || {
            let socket = std::net::UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            let readiness = UdpSocket::from_std(socket.try_clone()?)?;
            Ok((UdpIo::from_socket(socket)?, readiness))
        };
        let (io, readiness) = bind().map_err(|source| RunError::Udp { address, source })?;
        Ok(Self {
            io,
            readiness,
            transport: None,
            relay_only,
            buffer: Some(Box::default()),
            unsent: None,
        })
    }

    /// Makes the transport, or tells the one that is there of the servers. `None`: as before.
    ///
    /// # Errors
    /// [`RunError::Transport`], [`RunError::Wait`].
    pub(crate) fn start(
        &mut self,
        servers: Option<IceServers>,
        now: Instant,
    ) -> Result<(), RunError> {
        if let Some(transport) = &mut self.transport {
            if let Some(IceServers { stun, turn }) = servers {
                transport.set_servers(&stun, &turn);
            }
        } else {
            let IceServers { stun, turn } = servers.unwrap_or_default();
            let bound = self.io.local_addr();
            let config = Config {
                local_addresses: host_addresses(bound, Loopback::WhenAlone)
                    .map_err(RunError::Wait)?,
                stun_servers: stun,
                turn_servers: turn,
                relay_only: self.relay_only,
                ..Config::default()
            };
            self.transport = Some(RtcTransport::new(&config, now)?);
        }
        Ok(())
    }

    /// Waits until datagrams are there, or there is room for those that wait. Cancel-safe.
    pub(crate) async fn ready(&self) {
        let interest = match self.unsent {
            Some(_) => Interest::READABLE | Interest::WRITABLE,
            None => Interest::READABLE,
        };
        // An error shows again, and is handled, when the socket is used.
        let _ = self.readiness.ready(interest).await;
    }

    /// Reads once and hands each batch to the transport, which is drained in between. `false`: nothing was there.
    pub(crate) fn receive(&mut self, now: Instant, mut drain: impl FnMut(&mut Self)) -> bool {
        let Some(mut buffer) = self.buffer.take() else {
            return false;
        };
        let read = self
            .readiness
            .try_io(Interest::READABLE, || self.io.recv(&mut buffer));
        if read.is_ok() {
            for batch in buffer.batches() {
                if let Some(transport) = &mut self.transport {
                    transport.receive(&batch, now);
                }
                drain(self);
            }
        }
        self.buffer = Some(buffer);
        // An error of an earlier send to one peer shows here; there may be more behind it.
        !matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The next thing that happened, as the core takes it.
    pub(crate) fn next_input(&mut self) -> Option<Input> {
        self.transport.as_mut()?.poll_event().map(input)
    }

    /// Sends what the transport has ready, as far as the kernel takes it.
    pub(crate) fn transmit(&mut self) {
        loop {
            let next = self.unsent.take();
            let next = next.or_else(|| self.transport.as_mut()?.poll_transmit());
            let Some(transmit) = next else {
                return;
            };
            let sent = self
                .readiness
                .try_io(Interest::WRITABLE, || self.io.send(&transmit));
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent = Some(transmit);
                    return;
                }
                // The destination's trouble: ICE and SCTP treat it as loss.
                Err(error) => tracing::trace!(%error, "a datagram was not sent"),
                Ok(()) => {}
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let (due, _) = self.transport.as_ref()?.next_deadline()?;
        Some(due)
    }

    /// Runs what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(transport) = &mut self.transport
            && transport.next_deadline().is_some_and(|(due, _)| due <= now)
        {
            transport.handle_timeout(now);
        }
    }

    /// Starts a link. An input comes back when that is not possible.
    pub(crate) fn offer(&mut self, link: LinkId, now: Instant) -> Option<Input> {
        let started = self.transport.as_mut()?.offer(id(link), now);
        started.err().map(|error| refused(link, &error))
    }

    /// Starts a link from a peer's offer. An input comes back when that is not possible.
    pub(crate) fn accept(
        &mut self,
        link: LinkId,
        sdp: &str,
        is_native: bool,
        now: Instant,
    ) -> Option<Input> {
        let transport = self.transport.as_mut()?;
        let started = transport.accept(id(link), sdp, class(is_native), now);
        started.err().map(|error| refused(link, &error))
    }

    /// Applies the peer's answer. One that is unusable ends the link, which shows as an event.
    pub(crate) fn answer(&mut self, link: LinkId, sdp: &str, is_native: bool, now: Instant) {
        if let Some(transport) = &mut self.transport
            && let Err(error) = transport.answer(id(link), sdp, class(is_native), now)
        {
            tracing::debug!(%link, %error, "an answer is unusable");
        }
    }

    /// Applies a candidate of the peer. One that is unusable leaves the others.
    pub(crate) fn candidate(&mut self, link: LinkId, candidate: IceCandidate, now: Instant) {
        let candidate = transport::IceCandidate {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_m_line_index: candidate.sdp_m_line_index,
            username_fragment: None,
        };
        if let Some(transport) = &mut self.transport
            && let Err(error) = transport.candidate(id(link), &candidate, now)
        {
            tracing::debug!(%link, %error, "a candidate is unusable");
        }
    }

    pub(crate) fn pause(&mut self, link: LinkId, paused: bool, now: Instant) {
        if let Some(transport) = &mut self.transport {
            transport.pause_reading(id(link), paused, now);
        }
    }

    pub(crate) fn close(&mut self, link: LinkId, now: Instant) {
        if let Some(transport) = &mut self.transport {
            transport.close(id(link), now);
        }
    }

    /// Bytes that the link takes now.
    pub(crate) fn capacity(&mut self, link: LinkId) -> usize {
        let transport = self.transport.as_mut();
        transport.map_or(0, |t| t.capacity(id(link)))
    }

    /// Sends a piece for which there is room.
    pub(crate) fn send(&mut self, link: LinkId, piece: Piece, now: Instant) {
        let payload = match piece {
            Piece::Text(bytes) => transport::Payload::Text(bytes),
            Piece::Binary(bytes) => transport::Payload::Binary(bytes),
        };
        if let Some(transport) = &mut self.transport
            && let Err(error) = transport.send(id(link), payload, now)
        {
            // There was room: the link has just ended, which shows as an event.
            tracing::debug!(%link, %error, "a piece was not sent");
        }
    }
}

fn id(link: LinkId) -> transport::LinkId {
    transport::LinkId(link.0)
}

fn class(is_native: bool) -> PeerClass {
    match is_native {
        true => PeerClass::Native,
        false => PeerClass::Legacy,
    }
}

fn refused(link: LinkId, error: &transport::LinkError) -> Input {
    let reason = match error {
        transport::LinkError::MalformedDescription(_) => CloseReason::Malformed,
        _ => CloseReason::Failed,
    };
    tracing::debug!(%link, %error, "a link cannot be started");
    Input::LinkClosed { link, reason }
}

fn input(event: Event) -> Input {
    let own = |link: transport::LinkId| LinkId(link.0);
    match event {
        Event::LocalDescription { link, kind, sdp } => Input::LinkDescription {
            link: own(link),
            kind: match kind {
                transport::DescriptionKind::Offer => DescriptionKind::Offer,
                transport::DescriptionKind::Answer => DescriptionKind::Answer,
            },
            sdp,
        },
        Event::LocalCandidate { link, candidate } => Input::LinkCandidate {
            link: own(link),
            candidate: IceCandidate {
                candidate: candidate.candidate,
                sdp_mid: candidate.sdp_mid,
                sdp_m_line_index: candidate.sdp_m_line_index,
                link: None,
            },
        },
        Event::Opened { link, relayed } => Input::LinkOpened {
            link: own(link),
            relayed,
        },
        Event::Message { link, payload } => Input::LinkMessage {
            link: own(link),
            piece: match payload {
                transport::Payload::Text(bytes) => Piece::Text(bytes),
                transport::Payload::Binary(bytes) => Piece::Binary(bytes),
            },
        },
        Event::Writable { link } => Input::LinkWritable { link: own(link) },
        Event::Closed { link, reason } => Input::LinkClosed {
            link: own(link),
            reason: close_reason(reason),
        },
    }
}

fn close_reason(reason: transport::CloseReason) -> CloseReason {
    match reason {
        transport::CloseReason::Local => CloseReason::Local,
        transport::CloseReason::Remote => CloseReason::Remote,
        transport::CloseReason::TimedOut => CloseReason::TimedOut,
        transport::CloseReason::NotOpened => CloseReason::NotOpened,
        transport::CloseReason::MalformedDescription => CloseReason::Malformed,
        transport::CloseReason::IceFailed
        | transport::CloseReason::DtlsFailed
        | transport::CloseReason::ReaderStalled
        | transport::CloseReason::Internal => CloseReason::Failed,
    }
}
