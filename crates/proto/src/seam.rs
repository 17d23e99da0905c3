//! The hook at every codec: who said which row of the [`ledger`](crate::ledger), who is about to act on it, and the
//! faults that `cargo xtask seams` plants there.
//!
//! A producer asks [`said`] before it lets a message out, a consumer asks [`heard`] before it acts on one. Without the
//! environment variables both answer 1 and do nothing else; a release build has nothing of them (`xtask` proves it).
//! The one module of this crate that reads the environment and writes a file: why, stands in ADR 10.
//!
//! | variable | meaning |
//! |---|---|
//! | `SEAMESH_SEAM_RECORDS` | a directory: each process appends what it said and acted on to a file of its own |
//! | `SEAMESH_SEAM_FAULT` | `VERB ROW`, where the verb is `deaf`, `mute`, `twice` or `late`, and the row an id of the ledger |

#[cfg(debug_assertions)]
pub use on::{heard, is_on, kind_of, said};

#[cfg(not(debug_assertions))]
pub use off::{heard, is_on, kind_of, said};

/// What a release build has of it.
#[cfg(not(debug_assertions))]
mod off {
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

    use crate::ledger::{Channel, Party, row_id};

    /// How long `late` holds a message back: far over any round trip on one machine, far under any deadline.
    const LATE: Duration = Duration::from_millis(60);

    /// Messages that `late` holds back in one process: a stream of thousands need not take minutes.
    const LATE_MESSAGES: u32 = 3;

    /// Bytes of the longest kind that is noted: whatever is longer is no kind of ours.
    const KIND_BYTES: usize = 64;

    struct Hook {
        fault: Option<Fault>,
        records: Option<Mutex<Records>>,
        delayed: AtomicU32,
    }

    struct Fault {
        verb: String,
        head: String,
        producer: String,
        consumer: String,
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
        let fault = std::env::var("SEAMESH_SEAM_FAULT").ok();
        let fault = fault.as_deref().and_then(Fault::parse);
        let records = std::env::var_os("SEAMESH_SEAM_RECORDS").and_then(|directory| {
            let name = std::path::Path::new(&directory).join(std::process::id().to_string());
            let file = OpenOptions::new().create(true).append(true).open(name);
            let seen = BTreeSet::new();
            file.ok().map(|file| Mutex::new(Records { file, seen }))
        });
        (fault.is_some() || records.is_some()).then(|| Hook {
            fault,
            records,
            delayed: AtomicU32::new(0),
        })
    }

    impl Fault {
        fn parse(text: &str) -> Option<Self> {
            let (verb, row) = text.split_once(' ')?;
            let (head, parties) = row.rsplit_once('/')?;
            let (producer, consumer) = parties.split_once('>')?;
            Some(Self {
                verb: verb.to_owned(),
                head: head.to_owned(),
                producer: producer.to_owned(),
                consumer: consumer.to_owned(),
            })
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

        fn delay(&self) {
            if self.delayed.fetch_add(1, Relaxed) < LATE_MESSAGES {
                std::thread::sleep(LATE);
            }
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
        if let Some(fault) = &hook.fault
            && fault.verb == "mute"
            && fault.is_of(&id, Some(producer), consumer)
        {
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
        if let Some(fault) = &hook.fault
            && fault.is_of(&id, producer, Some(consumer))
        {
            match fault.verb.as_str() {
                "deaf" => return 0,
                "twice" => return 2,
                "late" => hook.delay(),
                _ => {}
            }
        }
        hook.note("acted", &id);
        1
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_fault_is_of_one_row_and_of_every_sender_that_is_not_known() {
            let fault = Fault::parse("deaf ipc/task/sidecar>rust_agent").unwrap();
            let is_of = |kind: &str, producer, consumer| {
                let id = row_id(Channel::Ipc, kind, producer, Some(consumer));
                fault.is_of(&id, producer, Some(consumer))
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
