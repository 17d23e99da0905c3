//! The open signaling sockets: a bounded queue towards each, and the means to cut it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::{CloseCode, Utf8Bytes, close_code};
use seamesh_proto::limits::MAX_SIGNAL_QUEUE;
use seamesh_proto::{Code, PeerId};
use seamesh_registry_core::ConnId;
use tokio::sync::{mpsc, watch};

/// Bytes queued towards one socket before it is cut as too slow. The directory of a full mesh fits; frames of the
/// largest size cannot fill the memory by their count alone.
pub(crate) const MAX_SIGNAL_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// What goes out on a socket.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A text frame.
    Text(Utf8Bytes),
    /// The last thing: a close frame (RFC 6455, section 5.5.1).
    Close(CloseCode, &'static str),
}

/// The queue of one socket, at its reading end.
pub(crate) struct Outbox {
    frames: mpsc::Receiver<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
    cut: Cut,
}

/// Tells that a socket is cut: nothing more shall be sent on it.
#[derive(Clone)]
pub(crate) struct Cut(watch::Receiver<bool>);

impl Cut {
    /// Resolves once the socket is cut.
    pub(crate) async fn happened(&mut self) {
        if self.0.wait_for(|cut| *cut).await.is_err() {
            // Forgotten without being cut: what waits in the queue is still sent.
            std::future::pending().await
        }
    }
}

impl Outbox {
    /// The next thing to send; `None` once the socket is cut.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        tokio::select! {
            biased;
            () = self.cut.happened() => None,
            frame = self.frames.recv() => frame,
        }
    }

    /// What waits already.
    pub(crate) fn next_waiting(&mut self) -> Option<Outgoing> {
        self.frames.try_recv().ok()
    }

    /// Says that this many bytes of text left the queue.
    pub(crate) fn sent(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Resolves once the socket is cut.
    pub(crate) fn cut(&self) -> Cut {
        self.cut.clone()
    }
}

struct Socket {
    peer: PeerId,
    frames: mpsc::Sender<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
    cut: watch::Sender<bool>,
}

/// Every open signaling socket.
#[derive(Default)]
pub(crate) struct Sockets {
    next: AtomicU64,
    open: Mutex<BTreeMap<ConnId, Socket>>,
    serving: watch::Sender<usize>,
}

/// Counts one task that serves a socket, for as long as it lives.
pub(crate) struct Serving<'a>(&'a watch::Sender<usize>);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Sockets {
    /// Adds a socket. A newer one has a larger number.
    pub(crate) fn insert(&self, peer: PeerId) -> (ConnId, Outbox) {
        let conn = ConnId(self.next.fetch_add(1, Relaxed) + 1);
        let (frames, frames_out) = mpsc::channel(MAX_SIGNAL_QUEUE);
        let (cut, cut_out) = watch::channel(false);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let outbox = Outbox {
            frames: frames_out,
            queued_bytes: queued_bytes.clone(),
            cut: Cut(cut_out),
        };
        let socket = Socket {
            peer,
            frames,
            queued_bytes,
            cut,
        };
        self.lock().insert(conn, socket);
        (conn, outbox)
    }

    /// Forgets a socket. What waits in its queue may still be sent.
    pub(crate) fn remove(&self, conn: ConnId) {
        self.lock().remove(&conn);
    }

    /// Counts the calling task among those that [`Self::all_served`] waits for.
    pub(crate) fn serving(&self) -> Serving<'_> {
        self.serving.send_modify(|count| *count += 1);
        Serving(&self.serving)
    }

    /// Resolves once no task serves a socket.
    pub(crate) async fn all_served(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.serving.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Number of open sockets.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Queues a frame towards each of these sockets; one that is gone is skipped. Returns how many were cut because
    /// their queue was full.
    pub(crate) fn send(&self, to: &[ConnId], text: &Utf8Bytes) -> u64 {
        let mut open = self.lock();
        let mut overflowed = 0;
        for conn in to {
            let Some(socket) = open.get(conn) else {
                continue;
            };
            if !socket.queue(text.clone()) {
                tracing::warn!(peer = %socket.peer, "a signaling socket does not read; closing it");
                socket.cut.send_replace(true);
                open.remove(conn);
                overflowed += 1;
            }
        }
        overflowed
    }

    /// Closes a socket after what waits in its queue.
    pub(crate) fn close(&self, conn: ConnId, code: Code) {
        if let Some(socket) = self.lock().remove(&conn) {
            socket.close(close_code(code), code.as_str());
        }
    }

    /// Closes every socket: the registry is going away.
    pub(crate) fn close_all(&self) {
        for socket in std::mem::take(&mut *self.lock()).into_values() {
            socket.close(close_code::AWAY, "the registry is shutting down");
        }
    }

    // No panic can happen while the lock is held, so a poisoned lock still holds a whole table.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnId, Socket>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    fn queue(&self, text: Utf8Bytes) -> bool {
        let bytes = text.len();
        let before = self.queued_bytes.fetch_add(bytes, Relaxed);
        if before + bytes > MAX_SIGNAL_QUEUE_BYTES {
            return false;
        }
        self.frames.try_send(Outgoing::Text(text)).is_ok()
    }

    fn close(&self, code: CloseCode, reason: &'static str) {
        if self.frames.try_send(Outgoing::Close(code, reason)).is_err() {
            self.cut.send_replace(true);
        }
    }
}

/// The WebSocket close code (RFC 6455, section 7.4.1): what was wrong, or whether to come back.
fn close_code(code: Code) -> CloseCode {
    match (code, code.retry()) {
        (Code::BadEncoding, _) => close_code::INVALID,
        (Code::TooLarge, _) => close_code::SIZE,
        (_, seamesh_proto::Retry::Later) => close_code::AGAIN,
        (_, seamesh_proto::Retry::Never) => close_code::POLICY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> PeerId {
        "p".parse().unwrap()
    }

    #[tokio::test]
    async fn a_socket_that_never_reads_is_cut_and_others_are_served() {
        let sockets = Sockets::default();
        let (slow, mut slow_out) = sockets.insert(peer());
        let text = Utf8Bytes::from_static("x");
        for _ in 0..MAX_SIGNAL_QUEUE {
            assert_eq!(sockets.send(&[slow], &text), 0);
        }
        let (quick, mut quick_out) = sockets.insert(peer());
        assert_eq!(sockets.send(&[slow, quick], &text), 1);
        assert!(slow_out.next().await.is_none());
        assert!(matches!(quick_out.next().await, Some(Outgoing::Text(_))));
        assert_eq!(sockets.len(), 1);
    }

    #[tokio::test]
    async fn a_queue_is_bounded_in_bytes_too() {
        let sockets = Sockets::default();
        let (conn, mut outbox) = sockets.insert(peer());
        let large = Utf8Bytes::from("x".repeat(MAX_SIGNAL_QUEUE_BYTES / 2));
        assert_eq!(sockets.send(&[conn], &large), 0);
        let Some(Outgoing::Text(text)) = outbox.next().await else {
            panic!("the frame was queued");
        };
        outbox.sent(text.len());
        assert_eq!(sockets.send(&[conn], &large), 0);
        assert_eq!(sockets.send(&[conn], &large), 0);
        assert_eq!(sockets.send(&[conn], &Utf8Bytes::from_static("x")), 1);
    }

    #[tokio::test]
    async fn a_close_comes_after_what_waits() {
        let sockets = Sockets::default();
        let (conn, mut outbox) = sockets.insert(peer());
        sockets.send(&[conn], &Utf8Bytes::from_static("last words"));
        sockets.close(conn, Code::Unauthorized);
        assert!(matches!(outbox.next().await, Some(Outgoing::Text(_))));
        assert!(matches!(
            outbox.next().await,
            Some(Outgoing::Close(close_code::POLICY, "unauthorized"))
        ));
    }
}
