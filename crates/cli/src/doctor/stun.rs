//! One question to a STUN or TURN server: does it answer a Binding request (RFC 8489, section 6)?

use std::io;
use std::time::Duration;

use tokio::net::UdpSocket;

/// The header's fixed field (RFC 8489, section 5).
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Message types of a Binding request and its success (RFC 8489, section 18.2).
const REQUEST: [u8; 2] = [0x00, 0x01];
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// Milliseconds until the question is asked again: UDP loses some (RFC 8489, section 6.2.1).
const AGAIN_MS: u64 = 500;

/// Where a server is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    /// It is spoken to over TCP or TLS.
    pub(super) is_stream: bool,
}

impl Server {
    /// Reads `stun:host:port`, `turn:host:port?transport=tcp` and the like (RFC 7064 and 7065).
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (is_tls, default) = match scheme {
            "stun" | "turn" => (false, 3478),
            "stuns" | "turns" => (true, 5349),
            _ => return None,
        };
        let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = port.map_or(Ok(default), str::parse).ok()?;
        let is_stream = is_tls || query == "transport=tcp";
        (!host.is_empty()).then(|| Self {
            host: host.to_owned(),
            port,
            is_stream,
        })
    }
}

/// Asks over UDP until an answer comes.
///
/// # Errors
/// When its name has no address, the system refuses, or nobody listens there.
pub(super) async fn ask(server: &Server) -> io::Result<()> {
    let mut addresses = tokio::net::lookup_host((server.host.as_str(), server.port)).await?;
    let none = || io::Error::other("the name has no address");
    let address = addresses.next().ok_or_else(none)?;
    let local = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    let mut request = [0_u8; 20];
    request[..2].copy_from_slice(&REQUEST);
    request[4..8].copy_from_slice(&MAGIC);
    getrandom::fill(&mut request[8..]).map_err(|error| io::Error::other(error.to_string()))?;
    let mut answer = [0_u8; 1500];
    loop {
        socket.send(&request).await?;
        let heard =
            tokio::time::timeout(Duration::from_millis(AGAIN_MS), socket.recv(&mut answer)).await;
        let Ok(length) = heard else { continue };
        let is_ours = answer[..length?].starts_with(&SUCCESS) && answer[4..20] == request[4..];
        if is_ours {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_read_with_their_defaults() {
        let read = |url| Server::parse(url).map(|s| (s.host, s.port, s.is_stream));
        let at = |host: &str, port, is_stream| Some((host.to_owned(), port, is_stream));
        assert_eq!(read("stun:a.example:19302"), at("a.example", 19302, false));
        assert_eq!(read("turn:a.example"), at("a.example", 3478, false));
        assert_eq!(
            read("turn:a.example:80?transport=tcp"),
            at("a.example", 80, true)
        );
        assert_eq!(read("turns:[::1]"), at("::1", 5349, true));
        assert_eq!(read("stun:[::1]:99"), at("::1", 99, false));
        for bad in ["http://a", "stun:", "stun:a:x", "a"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn only_the_answer_to_the_own_question_counts() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 64];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!((length, &buffer[..2]), (20, &REQUEST[..]));
            let mut answer = buffer[..20].to_vec();
            answer[..2].copy_from_slice(&SUCCESS);
            let mut foreign = answer.clone();
            foreign[19] ^= 1;
            server.send_to(&foreign, from).await.unwrap();
            // Asked again, because the first answer was another's.
            let (_, from) = server.recv_from(&mut buffer).await.unwrap();
            server.send_to(&answer, from).await.unwrap();
        });
        let host = "127.0.0.1".to_owned();
        ask(&Server {
            host,
            port,
            is_stream: false,
        })
        .await
        .unwrap();
        answering.await.unwrap();
    }
}
