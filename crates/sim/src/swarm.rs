//! Scenarios drawn from a seed, as text, so that a bad one can be read, shortened and kept.
//!
//! A seed first draws which faults and which kinds of work are on (swarm testing: Groce and others, 2012), because a mix
//! of everything reaches fewer states than many mixes of some. Then it draws agents and rounds: a step or two, and a
//! while of virtual time. The end is the same in every run: `recover`,
//! [`SETTLE_MS`], work that has to complete, and the same once more after all sidecars were started anew at once.

use std::fmt::Write;

use crate::draw::Draw;

/// Virtual milliseconds after the last fault by which the mesh has healed and all work has ended: the longest TTL
/// drawn (60 s), and a minute for redials and leases.
pub const SETTLE_MS: u64 = 120_000;

/// Virtual milliseconds that work given to the healed mesh may take: a REST agent's beat, and the work of the slowest.
pub const PROBE_MS: u64 = 30_000;

/// Virtual milliseconds that a mesh which starts all at once, on a network without faults, may take to be linked.
pub const LINK_MS: u64 = 1_000;

/// Virtual milliseconds in which a sidecar reaches a registry that went away for a moment: its first delay (50 ms) and
/// a connection, however often the registry went before.
pub const REACH_MS: u64 = 150;

/// What every run ends with; the steps before it are drawn.
pub const TAIL: &str = "# every fault ends";

/// Rounds of a run.
const ROUNDS: u64 = 24;

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cut,
    Block,
    Crash,
    CrashSidecar,
    CrashAgent,
    Vanish,
    Pause,
    Slow,
    CrashRegistry,
    Wipe,
    Disk,
    DiskFails,
    Delay,
    Weather,
    Hang,
    Key,
    Time,
    Child,
    Stream,
    Withdraw,
    Cancel,
    Send,
}

const KINDS: [Kind; 22] = [
    Kind::Cut,
    Kind::Block,
    Kind::Crash,
    Kind::CrashSidecar,
    Kind::CrashAgent,
    Kind::Vanish,
    Kind::Pause,
    Kind::Slow,
    Kind::CrashRegistry,
    Kind::Wipe,
    Kind::Disk,
    Kind::DiskFails,
    Kind::Delay,
    Kind::Weather,
    Kind::Hang,
    Kind::Key,
    Kind::Time,
    Kind::Child,
    Kind::Stream,
    Kind::Withdraw,
    Kind::Cancel,
    Kind::Send,
];

/// A run under way.
struct Swarm {
    draw: Draw,
    text: String,
    agents: u64,
    on: Vec<Kind>,
    requests: u64,
}

/// The scenario of a seed: steps without a transcript.
pub fn scenario(seed: u64) -> String {
    let mut draw = Draw(seed);
    let agents = 2 + draw.below(4);
    let on = KINDS.into_iter().filter(|_| draw.is_one_in(3)).collect();
    let mut swarm = Swarm {
        draw,
        text: format!("> seed {seed}\n> registry\n"),
        agents,
        on,
        requests: 0,
    };
    swarm.start();
    for round in 0..ROUNDS {
        swarm.round(round);
    }
    swarm.end();
    swarm.text
}

impl Swarm {
    fn step(&mut self, step: impl AsRef<str>) {
        // Writing into a text cannot fail.
        let _ = writeln!(self.text, "> {}", step.as_ref());
    }

    fn is_on(&self, kind: Kind) -> bool {
        self.on.contains(&kind)
    }

    fn start(&mut self) {
        for n in 0..self.agents {
            let skew = match self.draw.is_one_in(4) {
                true => format!(" skew={}", self.draw.below(100_000)),
                false => String::new(),
            };
            self.step(format!("sidecar a{n} skills=x{},y{skew}", n % 2));
            let work = self.draw.one_of(&[5, 200, 9_000]);
            self.step(format!("work a{n} {work}"));
            // All at once, or one after the other.
            if self.draw.is_one_in(3) {
                self.step("run 20");
            }
        }
        if self.draw.is_one_in(3) {
            self.step("rest r0 skills=y every=2000");
        }
    }

    fn round(&mut self, round: u64) {
        let at = self.draw.below(self.agents);
        let a = format!("a{at}");
        let b = match self.draw.below(self.agents + 1) {
            b if b == self.agents || b == at => "registry".to_owned(),
            b => format!("a{b}"),
        };
        let fault = self.draw.one_of(&KINDS);
        match self.is_on(fault) {
            true => self.happen(fault, &a, &b, round),
            false => self.work(&a, round),
        }
        if self.draw.is_one_in(3) {
            self.work(&a, round + 100);
        }
        let ms = self.draw.one_of(&[1, 3, 7, 40, 300, 900, 6_000, 16_000]);
        self.step(format!("run {ms}"));
    }

    fn happen(&mut self, kind: Kind, a: &str, b: &str, round: u64) {
        let again = self.draw.is_one_in(2);
        match kind {
            Kind::Cut | Kind::Block if again => self.step(format!("heal {a} {b}")),
            Kind::Cut => self.step(format!("cut {a} {b}")),
            Kind::Block if round.is_multiple_of(2) => self.step(format!("block {a} {b}")),
            Kind::Block => self.step(format!("block {b} {a}")),
            Kind::Crash => self.down(&format!("crash {a}"), a, again),
            Kind::CrashSidecar => self.down(&format!("crash {a} sidecar"), a, again),
            Kind::CrashAgent => self.down(&format!("crash {a} agent"), a, again),
            Kind::Vanish => self.down(&format!("vanish {a}"), a, again),
            Kind::Pause => {
                let node = if self.draw.is_one_in(4) {
                    "registry"
                } else {
                    a
                };
                self.step(format!("pause {node}"));
                let ms = self.draw.one_of(&[400, 4_000, 17_000]);
                self.step(format!("run {ms}"));
                self.step(format!("resume {node}"));
            }
            Kind::Slow => {
                let ms = self.draw.one_of(&[0, 30, 700]);
                self.step(format!("slow {a} {ms}"));
            }
            Kind::CrashRegistry => {
                self.step("crash registry");
                let ms = self.draw.one_of(&[0, 10, 700, 9_000]);
                self.step(format!("run {ms}"));
                self.step("registry");
            }
            Kind::Wipe if again => {
                self.step("wipe registry");
                self.step("run 300");
                self.step("registry");
            }
            Kind::Wipe => self.work(a, round),
            Kind::Disk => {
                let ms = self.draw.one_of(&[0, 4, 40]);
                self.step(format!("disk {ms}"));
            }
            Kind::DiskFails => self.step("disk fails"),
            Kind::Delay => {
                let frame = self.draw.one_of(&["offer", "answer", "ice_candidate"]);
                self.step(format!("delay {frame} {a} {b} 400"));
                self.step(format!("connect {a} {b}"));
            }
            Kind::Weather => {
                let latency = self.draw.one_of(&[0, 5, 100]);
                let jitter = self.draw.one_of(&[0, 20, 400]);
                let loss = self.draw.one_of(&[0, 20, 200]);
                self.step(format!(
                    "weather latency={latency} jitter={jitter} loss={loss}"
                ));
            }
            Kind::Hang => self.step(format!("hang {a}")),
            Kind::Withdraw => {
                let task = self.draw.below(ROUNDS);
                self.step(format!("withdraw op t{task}"));
            }
            Kind::Cancel => {
                let request = self.draw.below(self.requests + 1);
                self.step(format!("cancel {a} r{request}"));
            }
            Kind::Send => {
                for _ in 0..3 {
                    self.step(format!("send {a} {b}"));
                }
            }
            Kind::Key | Kind::Time | Kind::Child | Kind::Stream => self.work(a, round),
        }
    }

    /// Something dies, and comes back soon or later.
    fn down(&mut self, step: &str, a: &str, soon: bool) {
        self.step(step);
        let ms = match soon {
            true => self.draw.one_of(&[0, 30, 200]),
            false => self.draw.one_of(&[450, 1_000, 20_000]),
        };
        self.step(format!("run {ms}"));
        self.step(format!("restart {a}"));
    }

    /// What a handler does.
    fn does(&mut self) -> String {
        let mut deeds = Vec::new();
        if self.draw.is_one_in(2) {
            let ms = self.draw.one_of(&[1, 60, 2_000, 17_000]);
            deeds.push(format!("work:{ms}"));
        }
        if self.is_on(Kind::Stream) && self.draw.is_one_in(2) {
            let chunks = self.draw.one_of(&[3, 50]);
            deeds.push(format!("chunks:{chunks}"));
            if self.draw.is_one_in(2) {
                deeds.push("work:300".to_owned());
                deeds.push("chunks:20".to_owned());
            }
        }
        if self.is_on(Kind::Stream) && self.draw.is_one_in(3) {
            deeds.push("question".to_owned());
        }
        if self.is_on(Kind::Child) && self.draw.is_one_in(2) {
            let skill = self.draw.one_of(&["x0", "x1", "y"]);
            let below = self
                .draw
                .one_of(&["", "/work:900", "/ask:y", "/hang", "/fail"]);
            deeds.push(format!("ask:{skill}{below}"));
        }
        if self.draw.is_one_in(12) {
            deeds.push("fail".to_owned());
        }
        match deeds.is_empty() {
            true => String::new(),
            false => format!(" does={}", deeds.join(",")),
        }
    }

    fn work(&mut self, a: &str, round: u64) {
        let skill = self.draw.one_of(&["x0", "x1", "y"]);
        let does = self.does();
        if self.draw.is_one_in(2) {
            return self.submit(skill, &does, round);
        }
        let via = self.draw.one_of(&["", "", "", " via=queue", " via=direct"]);
        let timeout = self.draw.one_of(&[700, 12_000, 30_000]);
        let mut more = String::new();
        if self.is_on(Kind::Stream) {
            more += " stream=1 answers=1";
        }
        if via != " via=direct" && self.draw.is_one_in(8) {
            more += " wait=0";
        }
        let id = self.requests;
        self.requests += 1;
        self.step(format!(
            "request {a} skill={skill} as=r{id}{via} timeout={timeout}{more}{does}"
        ));
    }

    fn submit(&mut self, skill: &str, does: &str, round: u64) {
        let ttl = 20 + self.draw.below(40);
        let mut more = String::new();
        if self.draw.is_one_in(4) {
            let _ = write!(more, " target=a{}", self.draw.below(self.agents));
        }
        if self.is_on(Kind::Time) {
            match self.draw.below(4) {
                0 => more += " after=3000",
                1 => more += " deadline=4000",
                2 => more += " priority=5",
                _ => more += " attempts=1",
            }
        }
        if self.is_on(Kind::Key) && self.draw.is_one_in(2) {
            let key = self.draw.below(3);
            let (skill, does) = match self.draw.is_one_in(4) {
                true => (skill, does),
                false => ("y", ""),
            };
            return self.step(format!(
                "submit op - skill={skill} ttl={ttl} key=k{key}{does}"
            ));
        }
        self.step(format!(
            "submit op t{round} skill={skill} ttl={ttl}{more}{does}"
        ));
    }

    fn end(&mut self) {
        self.text += TAIL;
        self.text += "\n";
        self.step("recover");
        self.step(format!("run {SETTLE_MS}"));
        self.probe("probe");
        for _ in 0..2 {
            self.step("crash registry");
            self.step("registry");
            self.step(format!("run {REACH_MS}"));
        }
        self.step("linked");
        self.start_at_once();
        self.step(format!("run {LINK_MS}"));
        self.probe("probe-again");
    }

    /// Everybody starts at once. Either every two dial each other at once, or offers are overtaken by their candidates:
    /// not both, since an offer that its sender's answer overtakes is not possible on an ordered socket.
    fn start_at_once(&mut self) {
        for n in 0..self.agents {
            self.step(format!("crash a{n}"));
        }
        self.step("run 1000");
        let others = |n| (0..self.agents).filter(move |m| *m != n);
        let pairs = (0..self.agents).flat_map(|n| others(n).map(move |m| (n, m)));
        let pairs: Vec<(u64, u64)> = pairs.collect();
        let is_overtaken = self.draw.is_one_in(2);
        for (a, b) in pairs.iter().filter(|_| is_overtaken) {
            let ms = self.draw.one_of(&[10, 30, 300]);
            self.step(format!("delay offer a{a} a{b} {ms}"));
        }
        for n in 0..self.agents {
            self.step(format!("restart a{n}"));
        }
        if !is_overtaken {
            // As long as it takes to be connected, and less than it takes to hear of the others.
            self.step("run 10");
            for (a, b) in pairs {
                self.step(format!("connect a{a} a{b}"));
            }
        }
    }

    /// Work for everybody, directly and through the queue, that has to complete.
    fn probe(&mut self, name: &str) {
        self.step("linked");
        for n in 0..self.agents {
            let to = (n + 1) % self.agents;
            self.step(format!("submit op {name}-a{n} skill=y target=a{n} ttl=60"));
            self.step(format!(
                "request a{n} skill=y to=a{to} as={name} via=direct"
            ));
        }
        if self.text.contains("> rest r0") {
            self.step(format!("submit op {name}-r0 skill=y target=r0 ttl=60"));
        }
        self.step(format!("run {PROBE_MS}"));
    }
}
