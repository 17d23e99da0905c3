//! A STUN server (RFC 8489) that says of everybody what the test wants.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const COOKIE: u32 = 0x2112_A442;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const HEADER_BYTES: usize = 20;

/// Whether these are the bytes of a STUN binding request.
pub fn is_binding_request(packet: &[u8]) -> bool {
    packet.len() >= HEADER_BYTES
        && packet[..2] == BINDING_REQUEST
        && packet[4..8] == COOKIE.to_be_bytes()
}

/// The server. It ends when it is dropped.
pub struct StunServer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl StunServer {
    /// Serves on this machine, and tells whoever asks that its outer address is `outer`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(outer: SocketAddrV4) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let serving = tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                if is_binding_request(&packet[..length]) {
                    let answer = answer(&packet[8..HEADER_BYTES], outer);
                    // Who asked may be gone.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { address, serving })
    }

    /// Its address as `--stun` takes it.
    pub fn url(&self) -> String {
        format!("stun:{}", self.address)
    }
}

impl Drop for StunServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer(transaction: &[u8], outer: SocketAddrV4) -> Vec<u8> {
    let mut attribute = vec![0x00, 0x01];
    attribute.extend((outer.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
    attribute.extend((u32::from(*outer.ip()) ^ COOKIE).to_be_bytes());
    let mut packet = BINDING_SUCCESS.to_be_bytes().to_vec();
    packet.extend((attribute.len() as u16 + 4).to_be_bytes());
    packet.extend(COOKIE.to_be_bytes());
    packet.extend(transaction);
    packet.extend(XOR_MAPPED_ADDRESS.to_be_bytes());
    packet.extend((attribute.len() as u16).to_be_bytes());
    packet.extend(attribute);
    packet
}
