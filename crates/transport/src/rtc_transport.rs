//! [`Transport`](crate::Transport) on the sans-IO core of webrtc-rs.

use std::time::Instant;

use crate::{Config, SetupError};

/// Links on the `rtc` crate.
#[derive(Debug)]
pub struct RtcTransport {
    _config: Config,
}

impl RtcTransport {
    /// Makes a transport without links, and the certificate that all its links will present.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(config: Config, _now: Instant) -> Result<Self, SetupError> {
        Ok(Self { _config: config })
    }
}
