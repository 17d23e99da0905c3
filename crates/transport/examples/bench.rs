//! Connect time, round trips, throughput and memory of links on loopback, between two threads.
//!
//! `cargo run --release -p seamesh-transport --example bench [connect|rtt|throughput|memory]...`
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::error::Error;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use seamesh_transport::{
    Config, DescriptionKind, Event, LinkId, Payload, PeerClass, ReceiveBuffer, RtcTransport,
    SendError, Transmit, Transport, UdpIo,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A part of the bench, and its name on the command line.
type Part = (&'static str, fn() -> Outcome<()>);

/// The two halves of a signaling channel: description events, as they are.
struct Signaling {
    to: Sender<Event>,
    from: Receiver<Event>,
}

/// One thread's end.
struct End {
    io: UdpIo,
    /// Out only while it is read from.
    buffer: Option<Box<ReceiveBuffer>>,
    transport: RtcTransport,
    signaling: Signaling,
    blocked: Option<Transmit>,
    opened: BTreeMap<LinkId, Instant>,
    messages: Vec<(LinkId, Payload)>,
}

impl End {
    fn new(signaling: Signaling) -> Outcome<Self> {
        let io = UdpIo::bind(([127, 0, 0, 1], 0).into())?;
        let config = Config {
            local_addresses: vec![io.local_addr()],
            ..Config::default()
        };
        Ok(Self {
            transport: RtcTransport::new(&config, Instant::now())?,
            io,
            buffer: Some(Box::default()),
            signaling,
            blocked: None,
            opened: BTreeMap::new(),
            messages: Vec::new(),
        })
    }

    /// One turn of the loop: everything that is there, then sleep for at most `limit`.
    fn turn(&mut self, limit: Duration) -> Outcome<bool> {
        let alive = self.signals()?;
        self.drain()?;
        if self.messages.is_empty() {
            self.sleep(limit)?;
        }
        let mut buffer = self.buffer.take().unwrap_or_default();
        while self.io.recv(&mut buffer).is_ok() {
            for batch in buffer.batches() {
                self.transport.receive(&batch, Instant::now());
                self.drain()?;
            }
        }
        self.buffer = Some(buffer);
        let now = Instant::now();
        if self
            .transport
            .next_deadline()
            .is_some_and(|(due, _)| due <= now)
        {
            self.transport.handle_timeout(now);
        }
        self.drain()?;
        Ok(alive)
    }

    fn signals(&mut self) -> Outcome<bool> {
        loop {
            match self.signaling.from.try_recv() {
                Ok(Event::LocalDescription {
                    link,
                    kind: DescriptionKind::Offer,
                    sdp,
                }) => {
                    self.transport
                        .accept(link, &sdp, PeerClass::Native, Instant::now())?;
                }
                Ok(Event::LocalDescription { link, sdp, .. }) => {
                    self.transport
                        .answer(link, &sdp, PeerClass::Native, Instant::now())?;
                }
                Ok(_) => {}
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(true),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    fn drain(&mut self) -> Outcome<()> {
        loop {
            if let Some(transmit) = self
                .blocked
                .take()
                .or_else(|| self.transport.poll_transmit())
            {
                if self
                    .io
                    .send(&transmit)
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
                {
                    self.blocked = Some(transmit);
                    return Ok(());
                }
            } else if let Some(event) = self.transport.poll_event() {
                match event {
                    Event::LocalDescription { .. } => {
                        // The other thread may have gone.
                        let _ = self.signaling.to.send(event);
                    }
                    Event::Opened { link, .. } => {
                        self.opened.insert(link, Instant::now());
                    }
                    Event::Message { link, payload } => self.messages.push((link, payload)),
                    Event::Closed { link, reason } if reason.is_fault() => {
                        println!("{link} closed: {reason}");
                    }
                    _ => {}
                }
            } else {
                return Ok(());
            }
        }
    }

    fn sleep(&self, limit: Duration) -> Outcome<()> {
        let now = Instant::now();
        let due = self
            .transport
            .next_deadline()
            .map_or(limit, |(due, _)| due.saturating_duration_since(now));
        let wait = due.min(limit);
        let events = if self.blocked.is_some() {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        };
        let fd = self.io.as_fd();
        poll(
            &mut [PollFd::new(&fd, events)],
            Some(&Timespec::try_from(wait)?),
        )?;
        Ok(())
    }

    fn dial(&mut self, link: LinkId) -> Outcome<Duration> {
        let start = Instant::now();
        self.transport.offer(link, start)?;
        while !self.opened.contains_key(&link) {
            // Signaling does not wake the socket: look again soon.
            self.turn(Duration::from_micros(50))?;
        }
        Ok(self.opened[&link] - start)
    }
}

/// Starts the answering thread: it echoes messages shorter than 1,000 bytes that start with "e", and
/// answers one that starts with "?" by the number of bytes it got.
fn peer() -> Outcome<End> {
    let (to_peer, from_us) = channel();
    let (to_us, from_peer) = channel();
    std::thread::spawn(move || {
        let answer = answering(Signaling {
            to: to_us,
            from: from_us,
        });
        if let Err(error) = answer {
            println!("the peer fails: {error}");
        }
    });
    End::new(Signaling {
        to: to_peer,
        from: from_peer,
    })
}

fn answering(signaling: Signaling) -> Outcome<()> {
    let mut end = End::new(signaling)?;
    let mut received = 0;
    while end.turn(Duration::from_micros(500))? {
        for (link, payload) in std::mem::take(&mut end.messages) {
            received += payload.len();
            match payload.bytes().first() {
                Some(b'e') => end.transport.send(link, payload, Instant::now())?,
                Some(b'?') => {
                    let total = Bytes::from(std::mem::take(&mut received).to_string());
                    end.transport
                        .send(link, Payload::Text(total), Instant::now())?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn connect() -> Outcome<()> {
    let mut end = peer()?;
    let mut times = Vec::new();
    for number in 0..200 {
        let link = LinkId(number);
        times.push(end.dial(link)?);
        end.transport.close(link, Instant::now());
        end.drain()?;
    }
    report("connect", &mut times);
    Ok(())
}

fn rtt() -> Outcome<()> {
    let mut end = peer()?;
    let link = LinkId(1);
    end.dial(link)?;
    let mut times = Vec::new();
    for _ in 0..5_000 {
        let start = Instant::now();
        end.transport
            .send(link, Payload::Binary(Bytes::from(vec![b'e'; 100])), start)?;
        while end.messages.is_empty() {
            end.turn(Duration::from_millis(100))?;
        }
        end.messages.clear();
        times.push(start.elapsed());
    }
    report("round trip of 100 B", &mut times);
    Ok(())
}

fn throughput() -> Outcome<()> {
    for (size, total) in [
        (100, 20_000_000),
        (1_024, 200_000_000),
        (16_384, 400_000_000),
    ] {
        let mut end = peer()?;
        let link = LinkId(1);
        end.dial(link)?;
        send_all(&mut end, link, size, total / 10)?;
        let cpu_before = cpu_seconds()?;
        let start = Instant::now();
        send_all(&mut end, link, size, total)?;
        let megabytes_per_second = total as f64 / start.elapsed().as_secs_f64() / 1e6;
        let seconds_per_gigabyte = (cpu_seconds()? - cpu_before) / total as f64 * 1e9;
        println!(
            "{size} B messages: {megabytes_per_second:.0} MB/s, {seconds_per_gigabyte:.1} CPU s/GB (both ends)"
        );
    }
    Ok(())
}

fn send_all(end: &mut End, link: LinkId, size: usize, total: usize) -> Outcome<()> {
    let message = Bytes::from(vec![b'x'; size]);
    let mut left = total / size;
    let mut asked = false;
    while end.messages.is_empty() {
        while !asked {
            let (payload, last) = match left {
                0 => (Bytes::from_static(b"?"), true),
                _ => (message.clone(), false),
            };
            match end
                .transport
                .send(link, Payload::Binary(payload), Instant::now())
            {
                Ok(()) => (left, asked) = (left.saturating_sub(1), last),
                Err(SendError::Full) => break,
                Err(error) => return Err(error.into()),
            }
        }
        end.turn(Duration::from_millis(100))?;
    }
    end.messages.clear();
    Ok(())
}

fn memory() -> Outcome<()> {
    let mut end = peer()?;
    end.dial(LinkId(0))?;
    let mut before = resident_kib()?;
    println!("with one link: {before} KiB resident");
    for number in 1..=100 {
        end.dial(LinkId(number))?;
        if number % 20 == 0 {
            let now = resident_kib()?;
            // Both ends of a link live in this process.
            println!(
                "{number} links more: {:.0} KiB per link end",
                (now - before) as f64 / 40.0
            );
            before = now;
        }
    }
    Ok(())
}

fn resident_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}

/// User and system time of this process.
fn cpu_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().ok_or("no stat")?;
    let ticks: Vec<f64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .flat_map(str::parse)
        .collect();
    // USER_HZ has been 100 on every Linux for decades.
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: p50 {:?} p99 {:?} max {:?} of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}

fn main() -> Outcome<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let parts: [Part; 4] = [
        ("connect", connect),
        ("rtt", rtt),
        ("throughput", throughput),
        ("memory", memory),
    ];
    for (name, run) in parts {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run()?;
        }
    }
    Ok(())
}
