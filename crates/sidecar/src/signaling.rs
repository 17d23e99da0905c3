//! The signaling socket, in a task of its own beside the loop: it is never in the path of data.

use std::time::Duration;

use seamesh_client::{ClientError, Incoming, Registry, SignalReceiver, SignalSender, SignalSocket};
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::{MAX_SIGNAL_QUEUE, TURN_TTL_S};
use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::{Code, PeerId, Problem, seam};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::ice_servers::{self, IceServers};

/// Frames from the registry that wait for the loop. Over it the registry is not read, and queues itself.
const INCOMING_FRAMES: usize = 1_024;

/// How often the registry is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Silence after which the socket is given up: three pings unanswered.
const SILENCE: Duration = Duration::from_secs(16);

/// A socket that stays open asks for new TURN credentials this often: the old ones are good for as long again.
const SERVERS_EVERY: Duration = Duration::from_secs(TURN_TTL_S / 2);

/// What the loop tells the task.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Send this.
    Frame(SignalFrame),
    /// Say when the registry has taken everything that was sent before.
    Settle(oneshot::Sender<()>),
}

/// What the task tells the loop.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The socket is open.
    Up {
        /// Who the token says we are.
        peer_id: PeerId,
        /// The STUN and TURN servers; `None`: as before.
        servers: Option<IceServers>,
        /// Takes the frames to send.
        frames: mpsc::Sender<Outgoing>,
    },
    /// The STUN and TURN servers, under new credentials.
    Servers(IceServers),
    /// A frame came.
    Frame(SignalFrame),
    /// Something came that is no frame.
    Bad(Problem),
    /// It is over. The task's last word.
    Down {
        /// Why, and what to do.
        reason: String,
        /// The registry does not let us in, or is not to be trusted.
        is_refused: bool,
    },
}

/// The loop's end of the task.
#[derive(Debug)]
pub(crate) struct Signaling {
    registry: Registry,
    wants_servers: bool,
    events: mpsc::Receiver<Event>,
    tell: mpsc::Sender<Event>,
    frames: Option<mpsc::Sender<Outgoing>>,
}

impl Signaling {
    /// `wants_servers`: whether the registry is asked for STUN and TURN servers.
    pub(crate) fn new(registry: Registry, wants_servers: bool) -> Self {
        let (tell, events) = mpsc::channel(INCOMING_FRAMES);
        Self {
            registry,
            wants_servers,
            events,
            tell,
            frames: None,
        }
    }

    /// Starts a connection. Its last event is [`Event::Down`].
    pub(crate) fn connect(&mut self) {
        let (registry, wants_servers) = (self.registry.clone(), self.wants_servers);
        let tell = self.tell.clone();
        tokio::spawn(async move {
            let (reason, is_refused) = match serve(&registry, wants_servers, &tell).await {
                Ok(reason) => (reason.to_owned(), false),
                Err(error) => {
                    let is_refused = matches!(error.code(), Code::Unauthorized | Code::Forbidden);
                    (format!("{error}. {}", error.next_step()), is_refused)
                }
            };
            // The loop may have stopped.
            let _ = tell.send(Event::Down { reason, is_refused }).await;
        });
    }

    /// What happened. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// What happened, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Frames go this way now, or nowhere.
    pub(crate) fn set_frames(&mut self, frames: Option<mpsc::Sender<Outgoing>>) {
        self.frames = frames;
    }

    /// Whether the socket is open, as far as the loop knows.
    pub(crate) fn is_up(&self) -> bool {
        self.frames.is_some()
    }

    /// Resolves once the registry has taken everything that was sent before, or the socket is closed. `None`: it is.
    pub(crate) fn settle(&self) -> Option<oneshot::Receiver<()>> {
        let (settled, waits) = oneshot::channel();
        let frames = self.frames.as_ref()?;
        frames.try_send(Outgoing::Settle(settled)).ok()?;
        Some(waits)
    }

    /// Sends a frame. A registry that does not take them fast enough is cut off: what was said is said again when it
    /// is reached again.
    pub(crate) fn send(&mut self, frame: SignalFrame) {
        if let Some(frames) = &self.frames
            && frames.try_send(Outgoing::Frame(frame)).is_err()
        {
            self.frames = None;
        }
    }
}

async fn serve(
    registry: &Registry,
    wants_servers: bool,
    tell: &mpsc::Sender<Event>,
) -> Result<&'static str, ClientError> {
    let token = registry.token().await?;
    let lookup = async {
        match wants_servers {
            true => ice_servers::of(registry).await,
            false => None,
        }
    };
    let (socket, servers) = tokio::join!(SignalSocket::connect(registry, &token.token), lookup);
    let (sender, receiver) = socket?.split();
    let (frames, outgoing) = mpsc::channel(MAX_SIGNAL_QUEUE);
    let up = Event::Up {
        peer_id: token.peer_id,
        servers,
        frames,
    };
    if tell.send(up).await.is_err() {
        return Ok("the sidecar stopped");
    }
    let renewal = wants_servers.then_some(registry);
    relay(sender, receiver, outgoing, tell, renewal).await
}

/// Moves frames both ways until either end stops. `renewal`: whom to ask for STUN and TURN servers now and then.
async fn relay(
    mut sender: SignalSender,
    mut receiver: SignalReceiver,
    mut outgoing: mpsc::Receiver<Outgoing>,
    tell: &mpsc::Sender<Event>,
    renewal: Option<&Registry>,
) -> Result<&'static str, ClientError> {
    let mut heard = Instant::now();
    let mut ping_at = heard + PING_EVERY;
    let mut renew_at = heard + SERVERS_EVERY;
    // Each ping has a number, and the registry answers the latest of those it read at once.
    let mut pings = 0;
    let mut settling: Vec<(u64, oneshot::Sender<()>)> = Vec::new();
    loop {
        tokio::select! {
            frame = outgoing.recv() => {
                let Some(mut next) = frame else {
                    sender.close().await;
                    return Ok("the registry does not read fast enough, or the sidecar stops");
                };
                loop {
                    match next {
                        Outgoing::Frame(frame) => feed(&mut sender, &frame).await?,
                        Outgoing::Settle(settled) => {
                            pings += 1;
                            settling.push((pings, settled));
                            sender.ping(pings).await?;
                        }
                    }
                    match outgoing.try_recv() {
                        Ok(more) => next = more,
                        Err(_) => break,
                    }
                }
                sender.flush().await?;
            }
            incoming = receiver.next() => {
                heard = Instant::now();
                let mut arrival = seam::Arrival::default();
                let (event, times) = match incoming? {
                    None => return Ok("the registry closed the signaling socket"),
                    Some(Incoming::Pong(number)) => {
                        while settling.first().is_some_and(|(ping, _)| *ping <= number) {
                            // Whoever waited may be gone.
                            let _ = settling.remove(0).1.send(());
                        }
                        continue;
                    }
                    Some(Incoming::Frame(frame)) => {
                        let (registry, me) = (Some(Party::Registry), Party::Sidecar);
                        arrival = seam::arrived(Channel::Signaling, &frame.kind, registry, Some(me));
                        if let Some(hold) = arrival.hold {
                            tokio::time::sleep(hold).await;
                        }
                        let times = seam::heard(Channel::Signaling, &frame.kind, registry, me);
                        (Event::Frame(frame), times)
                    }
                    Some(Incoming::Malformed(error)) => (Event::Bad(error.into()), 1),
                };
                for event in std::iter::repeat_n(event, times) {
                    if tell.send(event).await.is_err() {
                        return Ok("the sidecar stopped");
                    }
                }
                if arrival.is_last {
                    return Ok("a planted fault ends the signaling socket");
                }
            }
            () = sleep_until(renew_at), if renewal.is_some() => {
                renew_at = Instant::now() + SERVERS_EVERY;
                let servers = match renewal {
                    Some(registry) => ice_servers::of(registry).await,
                    None => None,
                };
                if let Some(servers) = servers
                    && tell.send(Event::Servers(servers)).await.is_err()
                {
                    return Ok("the sidecar stopped");
                }
            }
            () = sleep_until(ping_at) => {
                if heard.elapsed() > SILENCE {
                    return Ok("the registry went silent");
                }
                pings += 1;
                sender.ping(pings).await?;
                ping_at = Instant::now() + PING_EVERY;
            }
        }
    }
}

/// A frame that is too large for the wire concerns nobody but its sender.
async fn feed(sender: &mut SignalSender, frame: &SignalFrame) -> Result<(), ClientError> {
    let registry = Some(Party::Registry);
    if seam::said(Channel::Signaling, &frame.kind, Party::Sidecar, registry) == 0 {
        return Ok(());
    }
    match sender.feed(frame).await {
        Err(ClientError::TooLarge { bytes, limit }) => {
            tracing::warn!(kind = %frame.kind, bytes, limit, "a frame is too large for signaling");
            Ok(())
        }
        other => other,
    }
}
