//! STUN and TURN servers, with TURN credentials that expire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use seamesh_proto::PeerId;
use seamesh_proto::limits::TURN_TTL_S;
use seamesh_proto::rest::{IceConfig, IceServer};

/// Which servers sidecars are told of.
#[derive(Clone, Debug, Default)]
pub struct IceSettings {
    /// STUN servers, `stun:host:port`.
    pub stun: Vec<String>,
    /// TURN server and the secret shared with it.
    pub turn: Option<TurnSettings>,
}

/// A TURN server with the shared secret of its REST credentials (draft-uberti-behave-turn-rest-00, as coturn's
/// `use-auth-secret` speaks it).
#[derive(Clone)]
pub struct TurnSettings {
    /// `turn:host:port`.
    pub url: String,
    /// The secret; never told to anybody.
    pub secret: String,
}

impl std::fmt::Debug for TurnSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnSettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl IceSettings {
    /// The servers for one peer, with a TURN credential good for [`TURN_TTL_S`] seconds from `now_s`.
    pub fn config(&self, peer: &PeerId, now_s: u64) -> IceConfig {
        let mut ice_servers = Vec::new();
        if !self.stun.is_empty() {
            ice_servers.push(IceServer {
                urls: self.stun.clone(),
                username: None,
                credential: None,
            });
        }
        if let Some(turn) = &self.turn {
            let username = format!("{}:{peer}", now_s + TURN_TTL_S);
            // HMAC-SHA1 is what TURN servers check; as a MAC it is not broken by SHA-1's collisions (RFC 6151, 2104).
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, turn.secret.as_bytes());
            let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
            ice_servers.push(IceServer {
                urls: vec![turn.url.clone()],
                username: Some(username),
                credential: Some(credential),
            });
        }
        IceConfig { ice_servers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_credentials_are_the_hmac_of_the_expiring_user() {
        let settings = IceSettings {
            stun: vec!["stun:s:1".into()],
            turn: Some(TurnSettings {
                url: "turn:t:2".into(),
                secret: "north".into(),
            }),
        };
        let config = settings.config(&"p1".parse().unwrap(), 1_000);
        assert_eq!(config.ice_servers[0].urls, ["stun:s:1"]);
        let turn = &config.ice_servers[1];
        assert_eq!(turn.username.as_deref(), Some("87400:p1"));
        // Computed apart: printf 87400:p1 | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(
            turn.credential.as_deref(),
            Some("DZBuTcqb7pmyVUiiXqfh/OeZWVw=")
        );
    }

    #[test]
    fn nothing_configured_means_no_servers_and_no_default_ones() {
        let config = IceSettings::default().config(&"p".parse().unwrap(), 0);
        assert!(config.ice_servers.is_empty());
    }
}
