//! The way to the core: what asks it, and what waits for it, bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seamesh_proto::{Code, Problem};
use seamesh_registry_core::{Caller, Input, Op, Reply, RequestId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::audit::Entry;

/// Commands that wait for the core. Each takes microseconds, and holds a frame of up to 2 MiB; producers pause when it
/// is full.
const MAX_QUEUED_COMMANDS: usize = 256;

/// Bytes of signaling frames that wait for the core, as text: parsed they take up to twenty times that. Of small frames
/// more than [`MAX_QUEUED_COMMANDS`] fit; a frame that is larger waits until it is the only one.
const MAX_QUEUED_FRAME_BYTES: usize = 512 * 1024;

/// What a request is answered with.
pub(crate) type Answer = Result<Reply, Problem>;

/// What the driver takes, one after the other.
pub(crate) enum Command {
    /// An input of the core, and a frame's place among those that wait.
    Input(Box<Input>, Option<OwnedSemaphorePermit>),
    /// A request, and the way to whom it is answered.
    Request {
        /// Its number.
        request: RequestId,
        /// Who asks.
        caller: Caller,
        /// What is asked.
        op: Op,
        /// What the audit is to say of it, if it is decided so.
        audit: Option<Box<Entry>>,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Nothing comes behind this.
    Stop,
}

/// The way to the core.
#[derive(Clone)]
pub(crate) struct CoreHandle {
    commands: mpsc::Sender<Command>,
    next_request: Arc<AtomicU64>,
    frame_bytes: Arc<Semaphore>,
}

impl CoreHandle {
    /// A way to a core, and the end at which its driver takes what comes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(MAX_QUEUED_COMMANDS);
        let handle = Self {
            commands,
            next_request: Arc::default(),
            frame_bytes: Arc::new(Semaphore::new(MAX_QUEUED_FRAME_BYTES)),
        };
        (handle, queue)
    }

    /// Asks the core. What it answers is durable, and so is what the audit says of it.
    ///
    /// # Errors
    /// The core's refusal; `store_unavailable` when the answer could not be made durable.
    pub(crate) async fn call(&self, caller: Caller, op: Op, audit: Option<Entry>) -> Answer {
        let request = RequestId(self.next_request.fetch_add(1, Relaxed) + 1);
        let (answer, reply) = oneshot::channel();
        let command = Command::Request {
            request,
            caller,
            op,
            audit: audit.map(Box::new),
            answer,
        };
        self.commands.send(command).await.map_err(|_| stopping())?;
        let mut guard = GoneGuard {
            handle: self,
            request: Some(request),
        };
        let result = reply.await;
        guard.request = None;
        result.map_err(|_| stopping())?
    }

    /// Feeds an input. Pauses while the core is busy.
    pub(crate) async fn input(&self, input: Input) {
        // A stopped core needs no inputs any more.
        let command = Command::Input(Box::new(input), None);
        let _ = self.commands.send(command).await;
    }

    /// Feeds a frame of so many bytes, which is parsed once there is room for it. Pauses while too many wait.
    pub(crate) async fn frame(&self, bytes: usize, parse: impl FnOnce() -> Input) {
        let bytes = u32::try_from(bytes.min(MAX_QUEUED_FRAME_BYTES)).unwrap_or(u32::MAX);
        let permit = self.frame_bytes.clone().acquire_many_owned(bytes).await;
        // The semaphore is never closed.
        let command = Command::Input(Box::new(parse()), permit.ok());
        let _ = self.commands.send(command).await;
    }

    /// Stops the core once what it decided is durable.
    pub(crate) async fn stop(&self) {
        let _ = self.commands.send(Command::Stop).await;
    }
}

fn stopping() -> Problem {
    Problem::new(
        Code::RegistryUnavailable,
        "the registry is shutting down; try again",
    )
}

/// Tells the core when the one who asks goes away before the answer.
struct GoneGuard<'a> {
    handle: &'a CoreHandle,
    request: Option<RequestId>,
}

impl Drop for GoneGuard<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request {
            let gone = Command::Input(Box::new(Input::RequestGone { request }), None);
            // With a full queue the core keeps the waiter until its time is up: bounded, and rare.
            let _ = self.handle.commands.try_send(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicBool;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_frame_is_parsed_once_there_is_room_for_it_and_one_that_is_too_large_waits_alone() {
        let (handle, mut queue) = CoreHandle::new();
        let large = 3 * MAX_QUEUED_FRAME_BYTES;
        handle.frame(large, || Input::Tick).await;
        let parsed = AtomicBool::new(false);
        let mut next = pin!(handle.frame(1, || {
            parsed.store(true, Relaxed);
            Input::Tick
        }));
        assert!(next.as_mut().now_or_never().is_none());
        assert!(!parsed.load(Relaxed), "it was parsed before its time");
        // The core takes the first: its place is free.
        drop(queue.recv().await);
        next.await;
        assert!(parsed.load(Relaxed));
        assert!(queue.try_recv().is_ok());
    }
}
