//! The two ends of a link bench: small native programs that speak JSON lines to a sidecar, each in a process of its own.
//!
//! They use the dialect without `hello`, so that what is measured is the sidecars and the link, not a skill.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use seamesh_proto::ipc::{AgentCommand, AgentEvent, Message, Send as IpcSend};
use seamesh_proto::{Payload, PeerId, Raw};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::measure::{percentile, us};

/// Longest a client waits for anything.
const CAP: Duration = Duration::from_secs(60);

/// What one end does.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Sends every message back to where it came from.
    Echo,
    /// Sends one message at a time and waits for its echo.
    Ping,
    /// Counts messages until the last one, then says how many came.
    Sink,
    /// Sends messages as fast as the socket takes them.
    Flood,
    /// Waits for the links named, says one message to each peer, and hears one from each.
    Greet,
}

/// How to run one end.
#[derive(Args, Debug)]
pub(crate) struct ClientArgs {
    /// The sidecar's socket.
    #[arg(long)]
    pub(crate) socket: PathBuf,
    /// What to do.
    #[arg(long, value_enum)]
    pub(crate) role: Role,
    /// The other end (several for `greet`).
    #[arg(long)]
    pub(crate) peer: Vec<PeerId>,
    /// Messages to send.
    #[arg(long, default_value_t = 1)]
    pub(crate) count: usize,
    /// Length of one mesh message, bytes.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
}

/// What one end measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Median round trip, microseconds.
    pub p50_us: f64,
    /// 99th percentile, microseconds.
    pub p99_us: f64,
    /// Messages per second, one way.
    pub(crate) messages_per_s: f64,
    /// Megabytes of mesh messages per second, one way.
    pub(crate) mb_per_s: f64,
    /// Messages that the other end did not get.
    pub(crate) lost: u64,
}

/// Runs one end and prints what it measured as its last line.
///
/// # Errors
/// When the socket closes, a link does not open, or an answer does not come within the cap.
#[expect(clippy::print_stdout, reason = "the result goes to the parent process")]
pub(crate) fn run(args: &ClientArgs) -> Result<()> {
    let mut line = Lines::connect(&args.socket)?;
    let measured = match args.role {
        Role::Echo => return echo(&mut line),
        Role::Sink => return sink(&mut line),
        Role::Ping => ping(&mut line, first(args)?, args)?,
        Role::Flood => flood(&mut line, first(args)?, args)?,
        Role::Greet => greet(&mut line, args)?,
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

fn first(args: &ClientArgs) -> Result<&PeerId> {
    args.peer.first().context("--peer is needed")
}

fn echo(lines: &mut Lines) -> Result<()> {
    while let Some(events) = lines.read()? {
        for event in events {
            if let AgentEvent::Message(Message { from_peer, message }) = event {
                lines.queue(&AgentCommand::Send(IpcSend {
                    target_peer: from_peer,
                    message,
                }));
            }
        }
        lines.flush()?;
    }
    Ok(())
}

fn sink(lines: &mut Lines) -> Result<()> {
    let mut count = 0u64;
    while let Some(events) = lines.read()? {
        for event in events {
            let AgentEvent::Message(Message { from_peer, message }) = event else {
                continue;
            };
            count += 1;
            if message.text().starts_with(r#"{"type":"last""#) {
                let done = Raw::of(&json!({ "type": "done", "payload": count }));
                lines.queue(&AgentCommand::Send(IpcSend {
                    target_peer: from_peer,
                    message: done,
                }));
                lines.flush()?;
                count = 0;
            }
        }
    }
    Ok(())
}

fn ping(lines: &mut Lines, peer: &PeerId, args: &ClientArgs) -> Result<Measured> {
    lines.wait_linked(std::slice::from_ref(peer))?;
    let command = AgentCommand::Send(IpcSend {
        target_peer: peer.clone(),
        message: sized("ping_", args.size)?,
    });
    let mut times = Vec::with_capacity(args.count);
    let warm_up = args.count / 10;
    for round in 0..args.count + warm_up {
        let start = Instant::now();
        lines.queue(&command);
        lines.flush()?;
        lines.wait_message(|_| true)?;
        if round >= warm_up {
            times.push(us(start.elapsed()));
        }
    }
    Ok(Measured {
        p50_us: percentile(&times, 0.5),
        p99_us: percentile(&times, 0.99),
        ..Measured::default()
    })
}

fn flood(lines: &mut Lines, peer: &PeerId, args: &ClientArgs) -> Result<Measured> {
    lines.wait_linked(std::slice::from_ref(peer))?;
    let mut one = Vec::new();
    AgentCommand::Send(IpcSend {
        target_peer: peer.clone(),
        message: sized("flood", args.size)?,
    })
    .write_line(&mut one);
    let per_block = (64 * 1024 / one.len()).max(1);
    let block = one.repeat(per_block);
    let blocks = (args.count - 1) / per_block;
    let start = Instant::now();
    for _ in 0..blocks {
        lines.stream.write_all(&block)?;
    }
    lines
        .stream
        .write_all(&one.repeat(args.count - 1 - blocks * per_block))?;
    lines.queue(&AgentCommand::Send(IpcSend {
        target_peer: peer.clone(),
        message: sized("last", args.size)?,
    }));
    lines.flush()?;
    let done = lines.wait_message(|text| text.contains(r#""done""#))?;
    let seconds = start.elapsed().as_secs_f64();
    let got: u64 = serde_json::from_str::<serde_json::Value>(&done)?["payload"]
        .as_u64()
        .context("a count")?;
    Ok(Measured {
        messages_per_s: args.count as f64 / seconds,
        mb_per_s: (args.count * args.size) as f64 / 1e6 / seconds,
        lost: (args.count as u64).saturating_sub(got),
        ..Measured::default()
    })
}

fn greet(lines: &mut Lines, args: &ClientArgs) -> Result<Measured> {
    lines.wait_linked(&args.peer)?;
    for peer in &args.peer {
        lines.queue(&AgentCommand::Send(IpcSend {
            target_peer: peer.clone(),
            message: sized("greet", 100)?,
        }));
    }
    lines.flush()?;
    let mut silent: std::collections::BTreeSet<_> = args.peer.iter().cloned().collect();
    silent.retain(|peer| !lines.heard.contains(peer));
    while !silent.is_empty() {
        for event in lines.read()?.context("the sidecar closed the socket")? {
            if let AgentEvent::Message(message) = event {
                silent.remove(&message.from_peer);
            }
        }
    }
    Ok(Measured::default())
}

/// A mesh message of exactly `size` bytes of JSON, where its envelope allows.
fn sized(kind: &str, size: usize) -> Result<Raw> {
    let empty = json!({ "type": kind, "payload": "" }).to_string().len();
    ensure!(size >= empty, "a message has at least {empty} bytes");
    Ok(Raw::of(
        &json!({ "type": kind, "payload": "x".repeat(size - empty) }),
    ))
}

/// JSON lines over the socket, blocking.
struct Lines {
    stream: UnixStream,
    incoming: Vec<u8>,
    chunk: Vec<u8>,
    outgoing: Vec<u8>,
    /// Peers that spoke while the client waited for something else.
    heard: std::collections::BTreeSet<PeerId>,
}

impl Lines {
    fn connect(socket: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
        stream.set_read_timeout(Some(CAP))?;
        let (incoming, outgoing, chunk) = (Vec::new(), Vec::new(), vec![0; 256 * 1024]);
        Ok(Self {
            stream,
            incoming,
            chunk,
            outgoing,
            heard: Default::default(),
        })
    }

    fn queue(&mut self, command: &AgentCommand) {
        command.write_line(&mut self.outgoing);
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.outgoing)?;
        self.outgoing.clear();
        Ok(())
    }

    /// The next events, or `None` at the end of the stream.
    fn read(&mut self) -> Result<Option<Vec<AgentEvent>>> {
        loop {
            let length = self
                .stream
                .read(&mut self.chunk)
                .context("read from the sidecar")?;
            if length == 0 {
                return Ok(None);
            }
            self.incoming.extend_from_slice(&self.chunk[..length]);
            let Some(end) = self.incoming.iter().rposition(|&b| b == b'\n') else {
                continue;
            };
            let events = self.incoming[..end]
                .split(|&b| b == b'\n')
                .map(AgentEvent::parse)
                .collect::<Result<_, _>>();
            let events = events?;
            self.incoming.drain(..=end);
            return Ok(Some(events));
        }
    }

    /// Waits until every peer is linked.
    fn wait_linked(&mut self, peers: &[PeerId]) -> Result<()> {
        let mut missing: std::collections::BTreeSet<_> = peers.iter().cloned().collect();
        self.queue(&AgentCommand::ListPeers(Payload::EMPTY));
        self.flush()?;
        while !missing.is_empty() {
            for event in self.read()?.context("the sidecar closed the socket")? {
                match event {
                    AgentEvent::PeerList(list) => missing.retain(|peer| !list.peers.contains(peer)),
                    AgentEvent::PeerConnected(peer) => {
                        missing.retain(|missing| *missing != peer.peer_id)
                    }
                    AgentEvent::Message(message) => self.heard.extend([message.from_peer]),
                    AgentEvent::Error(problem) => bail!("the sidecar refused: {problem}"),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Waits for a message that `wanted` accepts and returns its text.
    fn wait_message(&mut self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        loop {
            for event in self.read()?.context("the sidecar closed the socket")? {
                match event {
                    AgentEvent::Message(message) if wanted(message.message.text()) => {
                        return Ok(message.message.text().to_owned());
                    }
                    AgentEvent::Error(problem) => bail!("the sidecar refused: {problem}"),
                    _ => {}
                }
            }
        }
    }
}
