//! Watching the registry's numbered event stream.

use std::collections::VecDeque;

use reqwest::Response;
use seamesh_proto::events::EventRecord;
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::rest::EventsQuery;
use seamesh_proto::{TaskId, seam};

use crate::error::ClientError;
use crate::registry::Registry;
use crate::sse::SseReader;

/// The event stream, from a number on. After an error the next call of [`Events::next`] connects again and resumes
/// after the last event seen: nothing is missed and nothing comes twice.
pub struct Events {
    registry: Registry,
    after: Option<u64>,
    task: Option<TaskId>,
    stream: Option<(Response, SseReader)>,
    ready: VecDeque<EventRecord>,
}

impl Registry {
    /// Watches everything that happens after the event numbered `after`; `None`: from now on. Returns once the stream
    /// is open.
    ///
    /// # Errors
    /// `events_gone` when `after` is older than what the registry keeps.
    pub async fn events(&self, after: Option<u64>) -> Result<Events, ClientError> {
        self.watch(after, None).await
    }

    /// Watches everything that happened and happens to one task, from its beginning on.
    ///
    /// # Errors
    /// `task_unknown`.
    pub async fn task_events(&self, id: &TaskId) -> Result<Events, ClientError> {
        self.watch(Some(0), Some(id.clone())).await
    }

    async fn watch(&self, after: Option<u64>, task: Option<TaskId>) -> Result<Events, ClientError> {
        let mut events = Events {
            registry: self.clone(),
            after,
            task,
            stream: None,
            ready: VecDeque::new(),
        };
        events.connect().await?;
        Ok(events)
    }
}

impl Events {
    /// The number of the last event seen.
    pub fn last_seq(&self) -> Option<u64> {
        self.after
    }

    /// The next event. Cancel-safe: an event is handed out or kept, never lost.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the stream broke: call again, after a pause of your choice, to resume.
    pub async fn next(&mut self) -> Result<EventRecord, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                // It came twice.
                if self.after.is_some_and(|after| event.seq <= after) {
                    continue;
                }
                self.after = Some(event.seq);
                return Ok(event);
            }
            if self.stream.is_none() {
                self.connect().await?;
            }
            let read = self.read().await;
            if let Err(error) = read {
                self.stream = None;
                return Err(error);
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let query = EventsQuery {
            after: self.after,
            task: self.task.clone(),
        };
        let request = self.registry.open_ended(&["api", "events"]).query(&query);
        let request = self.registry.authorize(request).await?;
        let response = self.registry.send(request).await?;
        self.stream = Some((response, SseReader::default()));
        Ok(())
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        let Some((response, reader)) = &mut self.stream else {
            return Ok(());
        };
        let url = response.url().to_string();
        let bad = |reason: String| ClientError::BadAnswer { url, reason };
        let Some(bytes) = response
            .chunk()
            .await
            .map_err(|e| self.registry.unreachable(&e))?
        else {
            return Err(ClientError::Unreachable {
                url: self.registry.url().to_string(),
                reason: "the event stream ended".to_owned(),
            });
        };
        let mut planted = seam::Arrival::default();
        let mut texts = Vec::new();
        if let Err(error) = reader.feed(&bytes, &mut texts) {
            return Err(bad(error.to_string()));
        }
        for text in texts {
            match serde_json::from_str::<EventRecord>(&text) {
                Ok(event) => {
                    let (kind, registry) = (event.event.kind(), Some(Party::Registry));
                    let me = Party::Cli;
                    let one = seam::arrived(Channel::EventStream, kind, registry, Some(me));
                    planted.hold = planted.hold.max(one.hold);
                    planted.is_last |= one.is_last;
                    let times = seam::heard(Channel::EventStream, kind, registry, me);
                    self.ready.extend(std::iter::repeat_n(event, times));
                }
                // A kind this version does not know: a newer registry may have more to tell.
                Err(error) => tracing::debug!(%error, "an event was skipped"),
            }
        }
        if planted.is_last {
            self.stream = None;
        }
        if let Some(hold) = planted.hold {
            tokio::time::sleep(hold).await;
        }
        Ok(())
    }
}
