//! A sidecar's WebSocket to the registry.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use seamesh_proto::WireError;
use seamesh_proto::limits::MAX_SIGNAL_BYTES;
use seamesh_proto::signaling::SignalFrame;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, USER_AGENT};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use crate::error::ClientError;
use crate::registry::{Registry, refusal};

/// Seconds from the first packet to the open WebSocket.
const OPEN_TIMEOUT_S: u64 = 10;

/// What the socket reads and writes at once, in bytes; larger frames grow the buffers.
const BUFFER_BYTES: usize = 16 * 1024;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open signaling WebSocket. [`split`](Self::split) it to read and write at the same time.
pub struct SignalSocket {
    sender: SignalSender,
    receiver: SignalReceiver,
}

/// What a signaling socket hands up.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A frame.
    Frame(SignalFrame),
    /// Text that is no frame, or a binary message. The socket goes on.
    Malformed(WireError),
    /// The answer to the [`SignalSender::ping`] of this number: the registry lives, and has read what was sent before.
    Pong(u64),
}

impl SignalSocket {
    /// Opens the WebSocket with a token (see [`Registry::token`]), which goes in the `Authorization` header.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], or the problem the registry answered the upgrade with (`unauthorized`).
    pub async fn connect(registry: &Registry, token: &str) -> Result<Self, ClientError> {
        let open = Self::open(registry, token);
        match tokio::time::timeout(Duration::from_secs(OPEN_TIMEOUT_S), open).await {
            Ok(result) => result,
            Err(_) => Err(unreachable(registry, "no answer to the WebSocket upgrade")),
        }
    }

    async fn open(registry: &Registry, token: &str) -> Result<Self, ClientError> {
        let url = registry.url();
        let tcp = TcpStream::connect(url.host_port())
            .await
            .map_err(|e| registry.unreachable(&e))?;
        tcp.set_nodelay(true)
            .map_err(|e| registry.unreachable(&e))?;
        let mut request = url
            .websocket()
            .as_str()
            .into_client_request()
            .map_err(|e| registry.unreachable(&e))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            let detail = "a token holds printable ASCII only";
            crate::registry::problem(seamesh_proto::Code::Unauthorized, detail)
        })?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        if let Ok(name) = HeaderValue::from_str(&registry.user_agent()) {
            request.headers_mut().insert(USER_AGENT, name);
        }
        if !registry.seams(Some("signaling"), "request") {
            return Err(unreachable(registry, "the request was not sent"));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_SIGNAL_BYTES))
            .max_frame_size(Some(MAX_SIGNAL_BYTES))
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES);
        let connector = match url.is_tls() {
            true => Connector::Rustls(registry.tls()),
            false => Connector::Plain,
        };
        let opened = client_async_tls_with_config(request, tcp, Some(config), Some(connector));
        let (stream, _) = opened.await.map_err(|e| handshake_error(registry, e))?;
        if !registry.seams(Some("signaling"), "answer") {
            return Err(unreachable(registry, "the answer was not heard"));
        }
        let (sink, stream) = stream.split();
        let url = registry.url().to_string();
        Ok(Self {
            sender: SignalSender {
                sink,
                url: url.clone(),
            },
            receiver: SignalReceiver { stream, url },
        })
    }

    /// Its two halves.
    pub fn split(self) -> (SignalSender, SignalReceiver) {
        (self.sender, self.receiver)
    }
}

fn unreachable(registry: &Registry, reason: &str) -> ClientError {
    ClientError::Unreachable {
        url: registry.url().to_string(),
        reason: reason.to_owned(),
    }
}

fn handshake_error(registry: &Registry, error: tungstenite::Error) -> ClientError {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let url = registry.url().websocket();
            refusal(&url, response.status().as_u16(), body)
        }
        other => registry.unreachable(&other),
    }
}

/// The writing half.
pub struct SignalSender {
    sink: SplitSink<Stream, Message>,
    url: String,
}

impl SignalSender {
    /// Sends one frame and flushes it.
    ///
    /// # Errors
    /// [`ClientError::TooLarge`] over [`MAX_SIGNAL_BYTES`] (nothing was sent), [`ClientError::Unreachable`] when the
    /// socket is broken.
    pub async fn send(&mut self, frame: &SignalFrame) -> Result<(), ClientError> {
        self.feed(frame).await?;
        self.flush().await
    }

    /// Queues one frame; [`flush`](Self::flush) sends all that are queued with few system calls.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed(&mut self, frame: &SignalFrame) -> Result<(), ClientError> {
        let text = frame.to_text();
        if text.len() > MAX_SIGNAL_BYTES {
            return Err(ClientError::TooLarge {
                bytes: text.len(),
                limit: MAX_SIGNAL_BYTES,
            });
        }
        let fed = self.sink.feed(Message::text(text)).await;
        fed.map_err(|e| broken(&self.url, &e))
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the socket is broken.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        let flushed = self.sink.flush().await;
        flushed.map_err(|e| broken(&self.url, &e))
    }

    /// Asks for a sign of life: [`Incoming::Pong`] with the same number on the other half. Of several that the registry
    /// reads at once it answers the last.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the socket is broken.
    pub async fn ping(&mut self, number: u64) -> Result<(), ClientError> {
        let sent = self
            .sink
            .send(Message::Ping(Bytes::copy_from_slice(&number.to_be_bytes())))
            .await;
        sent.map_err(|e| broken(&self.url, &e))
    }

    /// Says goodbye to the other end.
    pub async fn close(mut self) {
        // The other end may be gone already, which is what is wanted.
        let _ = self.sink.close().await;
    }
}

/// The reading half.
pub struct SignalReceiver {
    stream: SplitStream<Stream>,
    url: String,
}

impl SignalReceiver {
    /// What comes next; `None` once the registry closed the socket. Pings of the registry are answered here. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the socket broke: open another.
    pub async fn next(&mut self) -> Result<Option<Incoming>, ClientError> {
        loop {
            let message = match self.stream.next().await {
                None => return Ok(None),
                Some(Err(tungstenite::Error::ConnectionClosed)) => return Ok(None),
                Some(Err(error)) => return Err(broken(&self.url, &error)),
                Some(Ok(message)) => message,
            };
            return Ok(Some(match message {
                Message::Text(text) => match SignalFrame::parse(text.as_bytes()) {
                    Ok(frame) => Incoming::Frame(frame),
                    Err(error) => Incoming::Malformed(error),
                },
                Message::Binary(_) => Incoming::Malformed(WireError::new(
                    seamesh_proto::Code::BadEncoding,
                    "signaling frames are text",
                )),
                Message::Pong(bytes) => {
                    let number = bytes.as_ref().try_into().map(u64::from_be_bytes);
                    Incoming::Pong(number.unwrap_or_default())
                }
                Message::Close(_) => return Ok(None),
                Message::Ping(_) | Message::Frame(_) => continue,
            }));
        }
    }
}

fn broken(url: &str, error: &tungstenite::Error) -> ClientError {
    ClientError::Unreachable {
        url: url.to_owned(),
        reason: error.to_string(),
    }
}
