//! What the core notes, as log lines.

use std::time::{Duration, Instant};

use seamesh_sidecar_core::Note;

/// Time between two warnings about peers: a hostile one must not fill a disk.
const WARNING_GAP: Duration = Duration::from_secs(10);

/// The log of one sidecar.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warned: Option<Instant>,
}

impl Notes {
    pub(crate) fn write(&mut self, note: Note, now: Instant) {
        match note {
            Note::RegistryAway { reason } => {
                tracing::warn!(%reason, "the registry is away; waiting for it");
            }
            Note::RegistryUp => tracing::info!("the registry is there"),
            Note::BadPeer { peer, code, detail } if self.may_warn(now) => {
                tracing::warn!(%peer, %code, %detail, "a peer sent something unusable");
            }
            Note::BadPeer { peer, code, detail } => {
                tracing::debug!(%peer, %code, %detail, "a peer sent something unusable");
            }
            Note::Refused { problem } => {
                tracing::warn!(code = %problem.code, detail = %problem.detail, "the registry refused something");
            }
            Note::LinkOpened {
                peer,
                identified,
                relayed,
            } => {
                tracing::info!(%peer, identified, relayed, "link open");
            }
            Note::LinkRefused {
                peer,
                code,
                detail,
                by_peer,
            } if self.may_warn(now) => {
                let by = if by_peer { "the peer" } else { "this sidecar" };
                tracing::warn!(%peer, %code, %detail, by, "a link was refused");
            }
            Note::LinkRefused {
                peer,
                code,
                detail,
                by_peer,
            } => tracing::debug!(%peer, %code, %detail, by_peer, "a link was refused"),
            Note::LinkLost { peer, reason } => tracing::info!(%peer, ?reason, "link lost"),
            Note::ReportsDropped { count } => {
                tracing::warn!(
                    count,
                    "reports of direct work were dropped while the registry was away"
                );
            }
        }
    }

    fn may_warn(&mut self, now: Instant) -> bool {
        let may = self
            .warned
            .is_none_or(|at| now.saturating_duration_since(at) >= WARNING_GAP);
        if may {
            self.warned = Some(now);
        }
        may
    }
}
