//! Messages on their way out, within a bounded send buffer.

use std::time::Instant;

use bytes::BytesMut;
use rtc::shared::error::Error as StackError;

use super::Link;
use crate::{
    LEGACY_SEND_BUFFER_BYTES, MAX_SEND_BYTES, NATIVE_SEND_BUFFER_BYTES, Payload, PeerClass,
    SendError,
};

impl Link {
    pub(crate) fn send(&mut self, payload: Payload, now: Instant) -> Result<(), SendError> {
        let room = self.room().ok_or(SendError::NotOpen)?;
        let remote_limit = self
            .remote
            .as_ref()
            .map_or(0, |remote| remote.max_message_bytes);
        if payload.len() > MAX_SEND_BYTES.min(remote_limit) {
            return Err(SendError::TooLarge);
        }
        if payload.len() > room {
            self.wants_writable = true;
            return Err(SendError::Full);
        }
        let mut channel = self
            .channel
            .and_then(|id| self.pc.data_channel(id))
            .ok_or(SendError::NotOpen)?;
        let sent = match payload {
            Payload::Text(bytes) => {
                let text = std::str::from_utf8(&bytes).map_err(|_| SendError::NotText)?;
                channel.send_text(now, text)
            }
            Payload::Binary(bytes) => channel.send(now, BytesMut::from(bytes)),
        };
        self.last_data = now;
        sent.map_err(|error| match error {
            StackError::ErrOutboundPacketTooLarge => SendError::TooLarge,
            _ => SendError::NotOpen,
        })
    }

    /// Bytes that may be sent now. Less than a whole message counts as a refusal.
    pub(crate) fn capacity(&mut self) -> usize {
        let room = self.room().unwrap_or(0);
        self.wants_writable |= self.opened && room < MAX_SEND_BYTES;
        room
    }

    /// What is left of the send buffer; `None` when not open.
    fn room(&mut self) -> Option<usize> {
        if !self.opened || self.ending.is_some() {
            return None;
        }
        let outstanding = self.outstanding();
        Some(self.send_buffer_bytes().saturating_sub(outstanding))
    }

    fn send_buffer_bytes(&self) -> usize {
        match self.class {
            PeerClass::Native => NATIVE_SEND_BUFFER_BYTES,
            PeerClass::Legacy => LEGACY_SEND_BUFFER_BYTES,
        }
    }

    /// Bytes sent and not acknowledged.
    pub(super) fn outstanding(&mut self) -> usize {
        let channel = self.channel.and_then(|id| self.pc.data_channel(id));
        channel.map_or(0, |channel| channel.outstanding_bytes())
    }

    /// Whether enough is free to make it worth telling a sender that waits.
    pub(super) fn is_half_free(&mut self) -> bool {
        let half = self.send_buffer_bytes() / 2;
        self.room().is_some_and(|room| room >= half)
    }
}
