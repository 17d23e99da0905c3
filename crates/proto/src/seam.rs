//! The hook at every codec: who said which row of the [`ledger`](crate::ledger), who is about to act on it, and the
//! faults that `cargo xtask seams` plants there.
//!
//! A producer asks [`said`] before it lets a message out, a consumer asks [`heard`] before it acts on one, and whoever
//! owns the connection that brought it asks [`arrived`]. Without the environment variables the first two answer 1, the
//! third nothing; a release build has nothing of them (`xtask` proves it).
//! The one module of this crate that reads the environment and writes a file: why, stands in ADR 10.
//!
//! | variable | meaning |
//! |---|---|
//! | `SEAMESH_SEAM_RECORDS` | a directory: each process appends what it said and acted on to a file of its own |
//! | `SEAMESH_SEAM_FAULT` | `VERB ROW…`, where the verb is `deaf`, `mute`, `twice`, `late`, `reorder` or `reconnect`, and a row an id of the ledger |
//!
//! `late` stops the whole consumer for a while, so that all others are ahead of it; `reorder` holds only the connection
//! that brought the message, so that what came later on another is acted on first; `reconnect` ends that connection
//! right after the message, once for each row in each process.

use std::time::Duration;

#[cfg(debug_assertions)]
pub use on::{arrived, heard, is_on, kind_of, said};

#[cfg(not(debug_assertions))]
pub use off::{arrived, heard, is_on, kind_of, said};

/// What is to happen to the connection that brought a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The message, and what comes behind it on the same connection, waits this long; other connections go on.
    pub hold: Option<Duration>,
    /// The connection ends after it.
    pub is_last: bool,
}

/// What a release build has of it.
#[cfg(not(debug_assertions))]
mod off {
    use super::Arrival;
    use crate::ledger::{Channel, Party};

    /// Never.
    #[inline(always)]
    pub fn is_on() -> bool {
        false
    }

    /// Nothing is looked for.
    #[inline(always)]
    pub fn kind_of(_: &[u8]) -> Option<String> {
        None
    }

    /// Once.
    #[inline(always)]
    pub fn said(_: Channel, _: &str, _: Party, _: Option<Party>) -> usize {
        1
    }

    /// Once.
    #[inline(always)]
    pub fn heard(_: Channel, _: &str, _: Option<Party>, _: Party) -> usize {
        1
    }

    /// As it came.
    #[inline(always)]
    pub fn arrived(_: Channel, _: &str, _: Option<Party>, _: Option<Party>) -> Arrival {
        Arrival {
            hold: None,
            is_last: false,
        }
    }
}

#[cfg(debug_assertions)]
#[allow(clippy::disallowed_methods)] // the hook exists to be driven from outside
mod on {
    use std::collections::BTreeSet;
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    use super::Arrival;
    use crate::ledger::{Channel, Party, row_id};

    /// How long `late` and `reorder` hold a message back: far over any round trip on one machine, far under any deadline.
    const LATE: Duration = Duration::from_millis(60);

    /// Messages of a row that are held back in one process: a stream of thousands need not take minutes.
    const LATE_MESSAGES: u32 = 3;

    /// Connections that `reconnect` ends for a row in one process: it has to come back, not to be kept away.
    const BROKEN_CONNECTIONS: u32 = 1;

    /// Bytes of the longest kind that is noted: whatever is longer is no kind of ours.
    const KIND_BYTES: usize = 64;

    struct Hook {
        faults: Vec<Fault>,
        records: Option<Mutex<Records>>,
    }

    struct Fault {
        verb: String,
        head: String,
        producer: String,
        consumer: String,
        /// How often it was planted.
        planted: AtomicU32,
    }

    struct Records {
        file: File,
        seen: BTreeSet<String>,
    }

    fn hook() -> Option<&'static Hook> {
        static HOOK: OnceLock<Option<Hook>> = OnceLock::new();
        HOOK.get_or_init(install).as_ref()
    }

    fn install() -> Option<Hook> {
        let faults = std::env::var("SEAMESH_SEAM_FAULT").unwrap_or_default();
        let faults = Fault::parse(&faults);
        let records = std::env::var_os("SEAMESH_SEAM_RECORDS").and_then(|directory| {
            let name = std::path::Path::new(&directory).join(std::process::id().to_string());
            let file = OpenOptions::new().create(true).append(true).open(name);
            let seen = BTreeSet::new();
            file.ok().map(|file| Mutex::new(Records { file, seen }))
        });
        (!faults.is_empty() || records.is_some()).then_some(Hook { faults, records })
    }

    impl Fault {
        fn parse(text: &str) -> Vec<Self> {
            let mut words = text.split(' ');
            let verb = words.next().unwrap_or_default();
            let of = |row: &str| {
                let (head, parties) = row.rsplit_once('/')?;
                let (producer, consumer) = parties.split_once('>')?;
                Some(Self {
                    verb: verb.to_owned(),
                    head: head.to_owned(),
                    producer: producer.to_owned(),
                    consumer: consumer.to_owned(),
                    planted: AtomicU32::new(0),
                })
            };
            words.filter_map(of).collect()
        }

        /// Whether it is to be planted once more, of `most` times.
        fn plants(&self, most: u32) -> bool {
            self.planted.fetch_add(1, Relaxed) < most
        }

        fn is_of(&self, id: &str, producer: Option<Party>, consumer: Option<Party>) -> bool {
            let fits = |party: Option<Party>, named: &str| party.is_none_or(|p| p.name() == named);
            id.rsplit_once('/')
                .is_some_and(|(head, _)| head == self.head)
                && fits(producer, &self.producer)
                && fits(consumer, &self.consumer)
        }
    }

    impl Hook {
        fn note(&self, side: &str, id: &str) {
            let Some(records) = &self.records else { return };
            let line = format!("{side} {id}\n");
            let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
            if records.seen.insert(line.clone()) {
                // A record that cannot be written shows as a row without a test.
                let _ = records.file.write_all(line.as_bytes());
            }
        }

        /// The fault of a message.
        fn fault(
            &self,
            id: &str,
            producer: Option<Party>,
            consumer: Option<Party>,
        ) -> Option<&Fault> {
            self.faults.iter().find(|f| f.is_of(id, producer, consumer))
        }
    }

    /// Whether anything is recorded or broken.
    pub fn is_on() -> bool {
        hook().is_some()
    }

    /// The `type` of a message that is not parsed yet, when somebody wants to know: `None` while nothing is on.
    pub fn kind_of(message: &[u8]) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Peek {
            #[serde(rename = "type")]
            kind: String,
        }
        let _ = hook()?;
        let peek: Peek = serde_json::from_slice(message).ok()?;
        Some(peek.kind)
    }

    /// A producer is about to send a message of this kind: how often it shall (0 or 1). `None`: whoever is there.
    pub fn said(channel: Channel, kind: &str, producer: Party, consumer: Option<Party>) -> usize {
        let Some(hook) = hook() else { return 1 };
        if kind.len() > KIND_BYTES || kind.contains(char::is_whitespace) {
            return 1;
        }
        let id = row_id(channel, kind, Some(producer), consumer);
        let fault = hook.fault(&id, Some(producer), consumer);
        if fault.is_some_and(|fault| fault.verb == "mute") {
            return 0;
        }
        hook.note("said", &id);
        1
    }

    /// A consumer is about to act on a message of this kind: how often it shall (0, 1 or 2). `None`: whoever sent it.
    pub fn heard(channel: Channel, kind: &str, producer: Option<Party>, consumer: Party) -> usize {
        let Some(hook) = hook() else { return 1 };
        if kind.len() > KIND_BYTES || kind.contains(char::is_whitespace) {
            return 1;
        }
        let id = row_id(channel, kind, producer, Some(consumer));
        let fault = hook.fault(&id, producer, Some(consumer));
        let times = match fault.map(|fault| (fault, fault.verb.as_str())) {
            Some((_, "deaf")) => return 0,
            Some((_, "twice")) => 2,
            Some((fault, "late")) => {
                if fault.plants(LATE_MESSAGES) {
                    std::thread::sleep(LATE);
                }
                1
            }
            _ => 1,
        };
        hook.note("acted", &id);
        times
    }

    /// A connection brought a message of this kind, for its own process or for somebody behind that. `None`: whoever it
    /// is.
    pub fn arrived(
        channel: Channel,
        kind: &str,
        producer: Option<Party>,
        consumer: Option<Party>,
    ) -> Arrival {
        let mut arrival = Arrival::default();
        let Some(hook) = hook().filter(|hook| !hook.faults.is_empty()) else {
            return arrival;
        };
        let id = row_id(channel, kind, producer, consumer);
        let fault = hook.fault(&id, producer, consumer);
        match fault.map(|fault| (fault, fault.verb.as_str())) {
            Some((fault, "reorder")) => arrival.hold = fault.plants(LATE_MESSAGES).then_some(LATE),
            Some((fault, "reconnect")) => arrival.is_last = fault.plants(BROKEN_CONNECTIONS),
            _ => {}
        }
        arrival
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_fault_is_of_one_row_and_of_every_sender_that_is_not_known() {
            let text = "deaf ipc/task/sidecar>rust_agent ipc/welcome/sidecar>python_agent";
            let faults = Fault::parse(text);
            assert_eq!(faults.len(), 2);
            let is_of = |kind: &str, producer, consumer| {
                let id = row_id(Channel::Ipc, kind, producer, Some(consumer));
                faults
                    .iter()
                    .any(|fault| fault.is_of(&id, producer, Some(consumer)))
            };
            assert!(is_of("task", Some(Party::Sidecar), Party::RustAgent));
            assert!(is_of("task", None, Party::RustAgent));
            assert!(!is_of("task", Some(Party::Sidecar), Party::PythonAgent));
            assert!(!is_of(
                "task_cancel",
                Some(Party::Sidecar),
                Party::RustAgent
            ));
        }
    }
}
