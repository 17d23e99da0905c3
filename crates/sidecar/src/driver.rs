//! The loop.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use seamesh_client::Registry;
use seamesh_control::{Asked, Command, Control};
use seamesh_proto::ipc::{AgentCommand, Connect};
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::MAX_LINE_BYTES;
use seamesh_proto::{Code, Now, Problem, seam};
use seamesh_sidecar_core::{ClientId, Config, Input, LinkId, Output, Sidecar};
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep_until};

use crate::clock::Clock;
use crate::faults::{Faults, arrival, closed};
use crate::identity::trust;
use crate::ipc::{Client, Pressure};
use crate::lines::Line;
use crate::network::Network;
use crate::notes::Notes;
use crate::signaling::{Event, Signaling};
use crate::socket_file::SocketFile;
use crate::{Options, Ready, RegistryNews, RunError, Told};

/// How long the loop sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// Longest that a sidecar which is told to end waits for the registry to have taken its agent's last words.
const GOODBYE: Duration = Duration::from_secs(1);

/// Runs a sidecar until `shutdown` is over. `tell` hears once the agent can connect, when the registry may be away, and
/// then whether the registry is reached.
///
/// It needs a tokio runtime with IO and time, and one thread is enough.
///
/// # Errors
/// See [`RunError`]: only what prevents a start. Whatever happens later is dealt with.
pub async fn run(
    options: Options,
    mut tell: impl FnMut(Told),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| RunError::Random(e.to_string()))?;
    let registry = Registry::of(
        Party::Sidecar,
        options.registry.clone(),
        options.credential.clone(),
    )?;
    let faults = Faults::new(control(&options)?);
    let socket = SocketFile::bind(&options.socket)?;
    // On one machine no address needs to be found, unless peers are to learn none.
    let wants_servers = options.relay_only || !options.udp().ip().is_loopback();
    let mut driver = Driver {
        core: Sidecar::with_trust(&Config { seed }, trust(&options)?),
        clock: Clock::start(),
        network: Network::bind(options.udp(), options.relay_only)?,
        signaling: Signaling::new(registry, wants_servers),
        clients: BTreeMap::new(),
        last_client: 0,
        ready_links: BTreeSet::new(),
        notes: Notes::default(),
        faults,
        registry_news: None,
    };
    driver.settle(Instant::now())?;
    tell(Told::Ready(Ready {
        component: "sidecar",
        socket: options.socket.display().to_string(),
        pid: std::process::id(),
    }));
    driver.serve(&socket, tell, shutdown).await
}

/// The socket of the test that controls this sidecar, if one does.
fn control(options: &Options) -> Result<Option<Control>, RunError> {
    match &options.test_control {
        Some(_) if !options.registry.is_loopback() => {
            Err(RunError::ControlElsewhere(options.registry.clone()))
        }
        Some(path) => Ok(Some(Control::bind(path)?)),
        None => Ok(None),
    }
}

/// Everything the loop owns.
struct Driver {
    core: Sidecar,
    clock: Clock,
    network: Network,
    signaling: Signaling,
    clients: BTreeMap<ClientId, Client>,
    last_client: u64,
    /// Links with something to send and, as far as we know, room for it.
    ready_links: BTreeSet<LinkId>,
    notes: Notes,
    /// What a test broke.
    faults: Faults,
    /// What is to be told of the registry.
    registry_news: Option<RegistryNews>,
}

/// Why the loop woke up, when that brings something.
enum Woken {
    Nothing,
    Connected(UnixStream),
    Signal(Event),
    Asked(Asked),
    Stop,
}

impl Driver {
    async fn serve(
        &mut self,
        socket: &SocketFile,
        mut tell: impl FnMut(Told),
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let mut told = None;
        let mut shutdown = pin!(shutdown);
        let mut sleep = pin!(sleep_until((Instant::now() + IDLE).into()));
        loop {
            // Under load the loop never waits by itself: this lets the signaling task have its turn.
            tokio::task::consume_budget().await;
            self.arm(sleep.as_mut());
            let woken = tokio::select! {
                biased;
                () = shutdown.as_mut() => Woken::Stop,
                // Before the data, which may never pause: a client that comes must not wait for that.
                stream = socket.accept() => stream.map_or(Woken::Nothing, Woken::Connected),
                Some(event) = self.signaling.next() => Woken::Signal(event),
                Some(asked) = self.faults.next() => Woken::Asked(asked),
                () = self.network.ready() => Woken::Nothing,
                () = any_ready(&self.clients) => Woken::Nothing,
                () = sleep.as_mut() => Woken::Nothing,
            };
            let now = Instant::now();
            let mut asked = None;
            match woken {
                Woken::Nothing => {}
                Woken::Connected(stream) => self.connected(stream, now),
                Woken::Signal(event) => self.signaled(event, now)?,
                Woken::Asked(what) => asked = self.obey(what, now),
                Woken::Stop => return self.stop(now).await,
            }
            self.turn(now)?;
            if self.registry_news.is_some() && self.registry_news != told {
                told.clone_from(&self.registry_news);
                self.registry_news.take().map(Told::Registry).map(&mut tell);
            }
            if let Some(asked) = asked {
                self.answer(asked);
            }
        }
    }

    /// One turn: a share of everything that is there, then everything that follows from it.
    fn turn(&mut self, now: Instant) -> Result<(), RunError> {
        while let Some(event) = self.signaling.try_next() {
            self.signaled(event, now)?;
        }
        self.receive(now);
        self.read_clients(now);
        self.network.handle_timeout(now);
        while let Some(input) = self.faults.arrived(now) {
            self.core.handle(input, self.clock.now(now));
        }
        let at = self.clock.now(now);
        if self.core.next_deadline().is_some_and(|(due, _)| due <= at) {
            self.core.handle(Input::Tick, at);
        }
        self.settle(now)
    }

    /// Moves the alarm, but only when it would ring too late: one that rings early costs less than moving it every time.
    fn arm(&self, mut sleep: Pin<&mut Sleep>) {
        let core = self.core.next_deadline();
        let core = core.map(|(due, _)| self.clock.instant(due));
        let due = core.into_iter().chain(self.network.next_deadline());
        let due = due.chain(self.faults.next_arrival()).min();
        let due = due.unwrap_or_else(|| Instant::now() + IDLE);
        if sleep.is_elapsed() || sleep.deadline().into_std() > due {
            sleep.as_mut().reset(due.into());
        }
    }

    fn receive(&mut self, now: Instant) {
        let (core, faults, at) = (&mut self.core, &mut self.faults, self.clock.now(now));
        self.network.receive(now, |network| {
            while let Some(input) = network.next_input() {
                hand_on(input, core, faults, network, now, at);
            }
            network.transmit();
        });
    }

    fn read_clients(&mut self, now: Instant) {
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            self.read_client(client, now);
        }
    }

    /// Reads once and takes the lines that this completes. `false`: nothing was there, or nobody.
    fn read_client(&mut self, id: ClientId, now: Instant) -> bool {
        let at = self.clock.now(now);
        let Some(client) = self.clients.get_mut(&id) else {
            return false;
        };
        match client.read() {
            Ok(true) => {}
            Ok(false) => return false,
            Err(_) => {
                self.disconnected(id, now);
                return false;
            }
        }
        let party = client.party;
        while let Some(line) = client.next_line() {
            match line {
                Line::Whole(line) => {
                    let me = Party::Sidecar;
                    let times = match seam::kind_of(line) {
                        Some(kind) => seam::heard(Channel::Ipc, &kind, party, me),
                        None => 1,
                    };
                    for _ in 0..times {
                        self.core.handle_line(id, line, at);
                    }
                }
                Line::TooLong => {
                    let detail = format!("a line has at most {MAX_LINE_BYTES} bytes");
                    let (client, problem) = (id, Problem::new(Code::TooLarge, detail));
                    self.core.handle(Input::IpcBad { client, problem }, at);
                }
            }
        }
        true
    }

    /// Does what the core says until it says nothing more, and lets bytes out.
    fn settle(&mut self, now: Instant) -> Result<(), RunError> {
        let at = self.clock.now(now);
        loop {
            while let Some(output) = self.core.poll() {
                self.act(output, now);
            }
            self.send_pieces(now);
            self.network.transmit();
            self.flush_clients(now);
            let mut is_quiet = true;
            while let Some(input) = self.network.next_input() {
                let (core, faults) = (&mut self.core, &mut self.faults);
                hand_on(input, core, faults, &mut self.network, now, at);
                is_quiet = false;
            }
            if is_quiet && self.core.is_idle() {
                return Ok(());
            }
        }
    }

    fn act(&mut self, output: Output, now: Instant) {
        if let Some(input) = self.faults.prevent(&output) {
            return self.core.handle(input, self.clock.now(now));
        }
        let network = &mut self.network;
        let refused = match output {
            Output::ConnectSignaling => {
                if self.faults.may_connect() {
                    self.signaling.connect();
                }
                None
            }
            Output::Signal { frame } => {
                self.signaling.send(frame);
                None
            }
            Output::LinkOffer { link, .. } => network.offer(link, now),
            Output::LinkAccept {
                link,
                sdp,
                is_native,
                ..
            } => network.accept(link, &sdp, is_native, now),
            Output::LinkAnswer {
                link,
                sdp,
                is_native,
            } => {
                network.answer(link, &sdp, is_native, now);
                None
            }
            Output::LinkCandidate { link, candidate } => {
                network.candidate(link, candidate, now);
                None
            }
            Output::LinkPause { link, paused } => {
                network.pause(link, paused, now);
                None
            }
            Output::LinkReady { link } => {
                self.ready_links.insert(link);
                None
            }
            Output::LinkClose { link } => {
                self.ready_links.remove(&link);
                network.close(link, now);
                None
            }
            Output::Note(note) => {
                self.notes.write(note, now);
                None
            }
            ipc => {
                self.act_on_client(ipc, now);
                None
            }
        };
        if let Some(input) = refused {
            self.core.handle(input, self.clock.now(now));
        }
    }

    fn act_on_client(&mut self, output: Output, now: Instant) {
        match output {
            Output::Ipc { client, event } => {
                if let Some(client) = self.clients.get_mut(&client)
                    && seam::said(Channel::Ipc, event.kind(), Party::Sidecar, client.party) > 0
                {
                    event.write_line(client.queue());
                }
            }
            Output::IpcLines { client, lines } => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.queue_lines(&lines);
                }
            }
            Output::IpcPause { client, paused } => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.is_paused = paused;
                }
            }
            Output::IpcClose { client } => {
                if let Some(mut gone) = self.clients.remove(&client) {
                    // What it does not take at once it will never read.
                    let _ = gone.flush();
                    let at = self.clock.now(now);
                    self.core.handle(Input::IpcDisconnected { client }, at);
                }
            }
            _ => {}
        }
    }

    /// Hands over what waits on links that have room.
    fn send_pieces(&mut self, now: Instant) {
        while let Some(link) = self.ready_links.pop_first() {
            loop {
                let room = self.network.capacity(link);
                let Some(piece) = self.core.take_piece(link, room) else {
                    break; // Empty, or told when there is room.
                };
                self.network.send(link, piece, now);
            }
        }
    }

    fn flush_clients(&mut self, now: Instant) {
        let at = self.clock.now(now);
        let mut gone = Vec::new();
        for (id, client) in &mut self.clients {
            if client.flush().is_err() {
                gone.push(*id);
            }
            if let Some(pressure) = client.pressure() {
                let (client, blocked) = (*id, pressure == Pressure::Blocked);
                self.core.handle(Input::IpcBlocked { client, blocked }, at);
            }
        }
        for client in gone {
            self.disconnected(client, now);
        }
    }

    fn connected(&mut self, stream: UnixStream, now: Instant) {
        self.let_go_of_gone(now);
        self.last_client += 1;
        let client = ClientId(self.last_client);
        self.clients.insert(client, Client::new(stream));
        let at = self.clock.now(now);
        self.core.handle(Input::IpcConnected { client }, at);
    }

    /// A client that comes back must not find its own former self in its place: what that still said is read, its end noted.
    fn let_go_of_gone(&mut self, now: Instant) {
        let gone = self.clients.iter().filter(|(_, client)| client.is_gone());
        let gone: Vec<ClientId> = gone.map(|(id, _)| *id).collect();
        for client in gone {
            while self.read_client(client, now) {}
            self.disconnected(client, now);
        }
    }

    fn disconnected(&mut self, client: ClientId, now: Instant) {
        if self.clients.remove(&client).is_some() {
            let at = self.clock.now(now);
            self.core.handle(Input::IpcDisconnected { client }, at);
        }
    }

    fn signaled(&mut self, event: Event, now: Instant) -> Result<(), RunError> {
        let input = match event {
            // Its frames go with it: the socket closes, which is told.
            Event::Up { .. } | Event::Servers(_) | Event::Frame(_) | Event::Bad(_)
                if self.faults.is_registry_cut() =>
            {
                return Ok(());
            }
            Event::Up {
                peer_id,
                servers,
                frames,
            } => {
                self.network.start(servers, now)?;
                self.signaling.set_frames(Some(frames));
                self.registry_news = Some(RegistryNews {
                    is_up: true,
                    is_refused: false,
                    reason: String::new(),
                });
                Input::SignalingUp { peer_id }
            }
            Event::Servers(servers) => return self.network.start(Some(servers), now),
            Event::Frame(frame) => Input::Signal { frame },
            Event::Bad(problem) => Input::SignalBad { problem },
            Event::Down { reason, is_refused } => {
                self.signaling.set_frames(None);
                self.faults.registry_gone();
                self.registry_news = Some(RegistryNews {
                    is_up: false,
                    is_refused,
                    reason: reason.clone(),
                });
                Input::SignalingDown { reason }
            }
        };
        self.core.handle(input, self.clock.now(now));
        Ok(())
    }

    /// Does what a test asks for. The command comes back when it is done with the present turn.
    fn obey(&mut self, asked: Asked, now: Instant) -> Option<Asked> {
        let at = self.clock.now(now);
        match asked.command.clone() {
            Command::Advance { ms } => self.clock.advance(ms),
            Command::Settle {} => {}
            Command::Cut { peer } => {
                for link in self.faults.cut(peer) {
                    self.network.close(link, now);
                    self.core.handle(closed(link), at);
                }
            }
            Command::Heal { peer } => {
                self.faults.heal(&peer);
                // Without an agent the link comes back by itself, later.
                if let Some(client) = self.clients.keys().next() {
                    let connect = Connect {
                        target_peer_id: peer,
                    };
                    let (client, command) = (*client, AgentCommand::Connect(connect));
                    self.core.handle(Input::IpcCommand { client, command }, at);
                }
            }
            Command::Delay { peer, ms } => self.faults.delay(peer, Duration::from_millis(ms)),
            Command::CutRegistry {} => {
                self.faults.cut_registry();
                if self.signaling.is_up() {
                    self.signaling.set_frames(None);
                    self.faults.done_when_gone(asked);
                    return None;
                }
            }
            Command::HealRegistry {} => {
                if self.faults.heal_registry() {
                    self.signaling.connect();
                }
            }
        }
        Some(asked)
    }

    /// Tells a test that what it asked for is done.
    fn answer(&self, asked: Asked) {
        let settles = matches!(asked.command, Command::Advance { .. } | Command::Settle {});
        match self.signaling.settle().filter(|_| settles) {
            None => asked.done(),
            Some(settled) => drop(tokio::spawn(async move {
                // A socket that closes has nothing on its way.
                let _ = settled.await;
                asked.done();
            })),
        }
    }

    /// Passes on what the agent said last, its goodbye among it, and tells the peers that we go, so that they need not find
    /// out.
    async fn stop(&mut self, now: Instant) -> Result<(), RunError> {
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            while self.read_client(client, now) && now.elapsed() < GOODBYE {}
        }
        self.settle(now)?;
        if let Some(settled) = self.signaling.settle() {
            // A registry that does not take it in time gets the work back when the leases end.
            let _ = tokio::time::timeout(GOODBYE, settled).await;
        }
        for link in self.core.links() {
            self.network.close(link, now);
        }
        self.network.transmit();
        for client in self.clients.values_mut() {
            // Best effort: it sees the end of the stream in any case.
            let _ = client.flush();
        }
        Ok(())
    }
}

/// Tells the core what the network brought, now or later; a planted fault ends the link after it.
fn hand_on(
    input: Input,
    core: &mut Sidecar,
    faults: &mut Faults,
    network: &mut Network,
    now: Instant,
    at: Now,
) {
    let planted = arrival(&input);
    let link = match &input {
        Input::LinkMessage { link, .. } if planted.is_last => Some(*link),
        _ => None,
    };
    if let Some(input) = faults.pass(input, planted.hold, now) {
        core.handle(input, at);
    }
    if let Some(link) = link {
        network.close(link, now);
        core.handle(closed(link), at);
    }
}

/// Waits for any of them; there is one, and at times a second on its way out.
async fn any_ready(clients: &BTreeMap<ClientId, Client>) {
    match clients.values().next() {
        Some(client) => client.ready().await,
        None => std::future::pending().await,
    }
}
