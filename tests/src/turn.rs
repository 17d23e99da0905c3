//! A real TURN server: coturn, started as `deploy` starts it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use seamesh_harness::binaries;
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::{Duration, timeout};

use crate::in_time;

/// A STUN binding request (RFC 8489): whoever answers it serves.
const BINDING_REQUEST: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

/// Until an unanswered request is repeated.
const REPEAT: Duration = Duration::from_millis(50);

/// The server. It ends when it is dropped.
pub struct TurnServer {
    address: SocketAddr,
    child: Child,
}

impl TurnServer {
    /// Starts it on this machine; it serves when this returns. `secret`: what it shares with the registry. `place`: a
    /// directory for its files.
    ///
    /// # Errors
    /// When there is no coturn, or it does not answer.
    pub async fn start(secret: &str, place: &Path) -> Result<Self> {
        let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await?
            .local_addr()?;
        let program = binaries::turnserver()?;
        let folder = program.parent().context("the folder of turnserver")?;
        let searched = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&searched));
        let log = std::fs::File::create(place.join("turnserver.log"))?;
        let child = Command::new("sh")
            .arg(binaries::project().join("deploy/start-turn.sh"))
            // Peers of a test are on loopback, which coturn refuses to lead to unless told.
            .args([
                "--listening-ip=127.0.0.1",
                "--relay-ip=127.0.0.1",
                "--allow-loopback-peers",
            ])
            .arg(format!(
                "--pidfile={}",
                place.join("turnserver.pid").display()
            ))
            .arg(format!("--userdb={}", place.join("turn.db").display()))
            .env("PATH", std::env::join_paths(path)?)
            .env("TMPDIR", place)
            .env("SEAMESH_TURN_PORT", address.port().to_string())
            .env("SEAMESH_TURN_SECRET", secret)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start coturn")?;
        in_time("coturn answers", answers(address)).await??;
        Ok(Self { address, child })
    }

    /// Its address as `--turn-url` takes it.
    pub fn url(&self) -> String {
        format!("turn:{}", self.address)
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

async fn answers(address: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut answer = [0; 512];
    loop {
        socket.send_to(&BINDING_REQUEST, address).await?;
        // Nobody listens there yet, which is said by an error or not at all.
        if let Ok(Ok(_)) = timeout(REPEAT, socket.recv_from(&mut answer)).await {
            return Ok(());
        }
    }
}
