//! The one piece of IO: a non-blocking UDP socket that sends and receives in batches.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use quinn_udp::{RecvMeta, UdpSocketState};

use crate::{Datagram, FEED_BATCH, Transmit};

/// Kernel buffer asked for in each direction, in bytes: 4 MiB. The usual 208 KiB overflows under
/// segmentation-offload bursts, and every lost tail costs a retransmission timeout of 1 s. The kernel
/// gives what `net.core.{r,w}mem_max` allows; less works, more slowly.
pub const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Reads per system call. Each may be a coalesced run of datagrams.
const RECEIVE_SLOTS: usize = 8;

/// Bytes per read: the largest coalesced run the kernel hands out (64 KiB).
const RECEIVE_SLOT_BYTES: usize = 64 * 1024;

/// A bound UDP socket, for `tokio::io::unix::AsyncFd` or `poll` to wait on.
#[derive(Debug)]
pub struct UdpIo {
    socket: UdpSocket,
    state: UdpSocketState,
    bound: SocketAddr,
}

impl UdpIo {
    /// Binds to `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// Those of binding: the port is taken, the address is not ours.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::from_socket(UdpSocket::bind(address)?)
    }

    /// Takes over a socket that is bound already.
    ///
    /// # Errors
    /// The system refuses an option that batching needs.
    pub fn from_socket(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        let asked = state
            .set_send_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES)
            .and(state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES));
        if let Err(error) = asked {
            tracing::debug!(%error, "the system keeps its own socket buffer size");
        }
        let bound = socket.local_addr()?;
        Ok(Self {
            socket,
            state,
            bound,
        })
    }

    /// The bound address; the port is never 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// The kernel's buffers as they are, in bytes: (receive, send).
    ///
    /// # Errors
    /// The system does not tell.
    pub fn buffer_bytes(&self) -> io::Result<(usize, usize)> {
        let receive = self.state.recv_buffer_size((&self.socket).into())?;
        let send = self.state.send_buffer_size((&self.socket).into())?;
        Ok((receive, send))
    }

    /// Reads what is there into `buffer`, replacing its contents. Never blocks.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there. Others are rare, and those that report an
    /// earlier send (port unreachable) concern one peer: carry on reading.
    pub fn recv(&self, buffer: &mut ReceiveBuffer) -> io::Result<()> {
        buffer.filled = 0;
        let ReceiveBuffer {
            slots,
            metas,
            filled,
            bound,
        } = buffer;
        let mut slices = slots.each_mut().map(|slot| IoSliceMut::new(slot));
        *filled = self.state.recv((&self.socket).into(), &mut slices, metas)?;
        *bound = Some(self.bound);
        Ok(())
    }

    /// Sends one transmit. Never blocks.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the kernel's buffer is full: keep the transmit and try it
    /// again when the socket is writable. Other errors (no route, too large) concern this destination alone and may be
    /// treated as loss: ICE and SCTP recover or give up.
    pub fn send(&self, transmit: &Transmit) -> io::Result<()> {
        match transmit.segment_size {
            // A system without segmentation offload. One that blocks half-way gets the first part
            // again, which does no harm.
            Some(size) if self.state.max_gso_segments() < 2 => transmit
                .contents
                .chunks(size.max(1))
                .try_for_each(|contents| self.send_run(transmit, contents, None)),
            segment_size => self.send_run(transmit, &transmit.contents, segment_size),
        }
    }

    fn send_run(
        &self,
        transmit: &Transmit,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let is_mapped = self.bound.is_ipv6() && transmit.destination.is_ipv4();
        self.state.try_send(
            (&self.socket).into(),
            &quinn_udp::Transmit {
                destination: match transmit.destination {
                    SocketAddr::V4(v4) if is_mapped => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
                    destination => destination,
                },
                ecn: None,
                contents,
                segment_size,
                // For a mapped destination the system chooses: it takes no IPv4 source on an IPv6 socket.
                src_ip: transmit.source.filter(|_| !is_mapped),
            },
        )
    }
}

impl AsFd for UdpIo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UdpIo {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Room for one [`UdpIo::recv`], to be made once and used again. The kernel touches only as much of it as a read fills.
#[derive(Debug)]
pub struct ReceiveBuffer {
    slots: [Box<[u8]>; RECEIVE_SLOTS],
    metas: [RecvMeta; RECEIVE_SLOTS],
    filled: usize,
    bound: Option<SocketAddr>,
}

impl Default for ReceiveBuffer {
    fn default() -> Self {
        Self {
            slots: std::array::from_fn(|_| vec![0; RECEIVE_SLOT_BYTES].into_boxed_slice()),
            metas: [RecvMeta::default(); RECEIVE_SLOTS],
            filled: 0,
            bound: None,
        }
    }
}

impl ReceiveBuffer {
    /// What the last read brought, in batches of at most [`FEED_BATCH`]: after each, drain the
    /// transport and send.
    pub fn batches(&self) -> impl Iterator<Item = Vec<Datagram<'_>>> {
        let mut datagrams = self.datagrams().peekable();
        std::iter::from_fn(move || {
            datagrams.peek()?;
            Some(datagrams.by_ref().take(FEED_BATCH).collect())
        })
    }

    /// The single datagrams, in order of arrival.
    fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let reads = self.slots.iter().zip(&self.metas).take(self.filled);
        reads.flat_map(|(slot, meta)| {
            let read = &slot[..meta.len.min(slot.len())];
            let local = self.local(meta);
            let remote = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            read.chunks(meta.stride.max(1))
                .map(move |contents| Datagram {
                    local,
                    remote,
                    contents,
                })
        })
    }

    /// The bound address, made concrete by the address that the datagram was sent to.
    fn local(&self, meta: &RecvMeta) -> SocketAddr {
        let bound = self.bound.unwrap_or(meta.addr);
        match meta.dst_ip {
            Some(ip) if bound.ip().is_unspecified() => {
                SocketAddr::new(ip.to_canonical(), bound.port())
            }
            _ => bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn pair() -> (UdpIo, UdpIo) {
        let bind = || UdpIo::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        (bind(), bind())
    }

    #[test]
    fn a_coalesced_transmit_arrives_as_single_datagrams_in_order() {
        let (from, to) = pair();
        from.send(&Transmit {
            source: None,
            destination: to.local_addr(),
            contents: Bytes::from_static(b"aaabbbc"),
            segment_size: Some(3),
        })
        .unwrap();
        let mut buffer = ReceiveBuffer::default();
        let mut seen = Vec::new();
        while to.recv(&mut buffer).is_ok() {
            for batch in buffer.batches() {
                for datagram in batch {
                    assert_eq!(datagram.remote, from.local_addr());
                    assert_eq!(datagram.local, to.local_addr());
                    seen.push(datagram.contents.to_vec());
                }
            }
        }
        assert_eq!(seen, [b"aaa".to_vec(), b"bbb".to_vec(), b"c".to_vec()]);
    }

    #[test]
    fn an_empty_socket_would_block_and_leaves_no_stale_datagrams() {
        let (from, to) = pair();
        let mut buffer = ReceiveBuffer::default();
        from.send(&Transmit {
            source: None,
            destination: to.local_addr(),
            contents: Bytes::from_static(b"x"),
            segment_size: None,
        })
        .unwrap();
        to.recv(&mut buffer).unwrap();
        let error = to.recv(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(buffer.batches().count(), 0);
    }

    #[test]
    fn a_dual_stack_socket_speaks_plain_ipv4_addresses() {
        let Ok(dual) = UdpIo::bind("[::]:0".parse().unwrap()) else {
            return; // no IPv6 on this machine
        };
        let (plain, _) = pair();
        let mut buffer = ReceiveBuffer::default();
        let transmit = |destination| Transmit {
            source: Some([127, 0, 0, 1].into()),
            destination,
            contents: Bytes::from_static(b"x"),
            segment_size: None,
        };
        let dual_address = SocketAddr::new([127, 0, 0, 1].into(), dual.local_addr().port());
        plain.send(&transmit(dual_address)).unwrap();
        dual.recv(&mut buffer).unwrap();
        let datagram = buffer.batches().next().unwrap()[0];
        assert_eq!(
            (datagram.local, datagram.remote),
            (dual_address, plain.local_addr())
        );
        dual.send(&transmit(plain.local_addr())).unwrap();
        plain.recv(&mut buffer).unwrap();
        assert_eq!(buffer.batches().next().unwrap()[0].remote, dual_address);
    }

    #[test]
    fn a_wildcard_socket_names_the_address_a_datagram_was_sent_to() {
        let to = UdpIo::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let from = UdpIo::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let destination = SocketAddr::new([127, 0, 0, 1].into(), to.local_addr().port());
        from.send(&Transmit {
            source: None,
            destination,
            contents: Bytes::from_static(b"x"),
            segment_size: None,
        })
        .unwrap();
        let mut buffer = ReceiveBuffer::default();
        to.recv(&mut buffer).unwrap();
        let batch = buffer.batches().next().unwrap();
        assert_eq!(batch[0].local, destination);
    }
}
