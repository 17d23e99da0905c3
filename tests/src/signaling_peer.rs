//! A peer that speaks signaling itself: what a test needs to see, or to send, that no sidecar would.

use anyhow::{Context, Result};
use seamesh_client::{Credential, Incoming, Registry, SignalReceiver, SignalSender, SignalSocket};
use seamesh_harness::Mesh;
use seamesh_proto::PeerId;
use seamesh_proto::rest::Role;
use seamesh_proto::signaling::SignalFrame;
use serde_json::{Value, json};

use crate::member::in_time;

/// A program on the registry's signaling socket.
pub struct SignalingPeer {
    peer_id: PeerId,
    sender: SignalSender,
    receiver: SignalReceiver,
}

impl SignalingPeer {
    /// Connects under a new key and registers as an old sidecar does.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn join(mesh: &Mesh, peer_id: &str) -> Result<Self> {
        let key = Credential::ApiKey(mesh.key(peer_id, Role::Agent).await?);
        let client = Registry::of(None, mesh.url().parse()?, key)?;
        let token = client.token().await?;
        let (sender, receiver) = SignalSocket::connect(&client, &token.token).await?.split();
        let mut peer = Self {
            peer_id: token.peer_id,
            sender,
            receiver,
        };
        peer.say("register", None, Value::Null).await?;
        peer.wait_for("peer_list").await?;
        Ok(peer)
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// When the socket is broken.
    pub async fn say(&mut self, kind: &str, target: Option<&PeerId>, payload: Value) -> Result<()> {
        let mut frame = json!({ "type": kind, "peer_id": self.peer_id, "payload": payload });
        if let Some(target) = target {
            frame["target_id"] = json!(target);
        }
        let frame: SignalFrame = serde_json::from_value(frame)?;
        Ok(self.sender.send(&frame).await?)
    }

    /// The next frame of this kind; others are passed over.
    ///
    /// # Errors
    /// When none comes in time, or the registry hung up.
    pub async fn wait_for(&mut self, kind: &str) -> Result<SignalFrame> {
        let wait = async {
            loop {
                let next = self.receiver.next().await?;
                match next.with_context(|| format!("the registry hung up before {kind}"))? {
                    Incoming::Frame(frame) if frame.kind == kind => return anyhow::Ok(frame),
                    _ => {}
                }
            }
        };
        in_time(kind, wait).await?
    }
}
