//! A registry on a port of its own, its keys, and clients of it.

use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, RequestBuilder, Response};
use seamesh_proto::signaling::{ClientSignal, RegistrySignal, SignalFrame};
use seamesh_registry::{Options, Ready, RunError};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest any step of a test may take. Far above what it takes: a hang becomes a failure.
pub(crate) const CAP: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(CAP, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {CAP:?}"),
    }
}

/// A running registry.
pub(crate) struct Registry {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// The admin's key.
    pub(crate) admin: String,
    /// Of its certificate, with TLS.
    pub(crate) fingerprint: Option<String>,
    /// The link of its first start.
    pub(crate) first_login: Option<String>,
    /// Its data directory.
    pub(crate) data: TempDir,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), RunError>>,
}

/// Options on any port over a data directory.
pub(crate) fn options(data: &Path) -> Options {
    Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data: data.join("data"),
        ..Options::default()
    }
}

impl Registry {
    /// A fresh one.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A fresh one with other options.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut chosen = options(data.path());
        change(&mut chosen);
        Self::over(data, chosen).await
    }

    /// One over a data directory that may have been used before.
    pub(crate) async fn over(data: TempDir, options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (ready, is_ready) = oneshot::channel::<Ready>();
        let (stop, stopped) = oneshot::channel::<()>();
        let directory = options.data.clone();
        let on_ready = move |r: &Ready| ready.send(r.clone()).unwrap();
        let stopped = async move { drop(stopped.await) };
        let task = tokio::spawn(seamesh_registry::run(options, on_ready, stopped));
        let Ok(ready) = soon("the registry serves", is_ready).await else {
            panic!("{:?}", task.await);
        };
        let admin = std::fs::read_to_string(directory.join("admin.key")).unwrap();
        Self {
            fingerprint: ready.fingerprint,
            first_login: ready.first_login,
            url: ready.url,
            admin: admin.trim_end().to_owned(),
            data,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            stop: Some(stop),
            task,
        }
    }

    /// Shuts it down in order; its data directory remains.
    pub(crate) async fn stop(mut self) -> TempDir {
        self.stop.take();
        soon("the registry ends", &mut self.task)
            .await
            .unwrap()
            .unwrap();
        self.data
    }

    /// A request with a key.
    pub(crate) fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.bare(method, path).header("x-api-key", key)
    }

    /// A request without a credential.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .timeout(CAP)
    }

    /// `GET` that must succeed.
    pub(crate) async fn get(&self, path: &str, key: &str) -> Value {
        ok(self.request(Method::GET, path, key)).await
    }

    /// `POST` that must succeed.
    pub(crate) async fn post(&self, path: &str, key: &str, body: Value) -> Value {
        ok(self.request(Method::POST, path, key).json(&body)).await
    }

    /// Makes an API key; answers its secret.
    pub(crate) async fn key(&self, peer: &str, role: &str) -> String {
        let body = json!({"peer_id": peer, "role": role});
        let made = self.post("/api/keys", &self.admin, body).await;
        made["api_key"].as_str().unwrap().to_owned()
    }

    /// A token for a key.
    pub(crate) async fn token(&self, key: &str) -> String {
        let answer = ok(self.request(Method::POST, "/api/token", key)).await;
        answer["token"].as_str().unwrap().to_owned()
    }

    /// A signaling socket of the peer that the key names.
    pub(crate) async fn socket(&self, peer: &str, key: &str) -> Socket {
        let token = self.token(key).await;
        self.socket_with(peer, "/ws", Some(&token)).await.unwrap()
    }

    /// Tries to open a signaling socket.
    pub(crate) async fn socket_with(
        &self,
        peer: &str,
        path: &str,
        token: Option<&str>,
    ) -> Result<Socket, tungstenite::Error> {
        let url = format!("{}{path}", self.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let connected = soon("a socket opens", tokio_tungstenite::connect_async(request)).await;
        connected.map(|(stream, _)| Socket {
            peer: peer.to_owned(),
            stream,
        })
    }
}

/// Sends a request that must succeed.
pub(crate) async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let (status, url) = (response.status(), response.url().to_string());
    let text = response.text().await.unwrap();
    assert_eq!(status.as_u16(), 200, "{url}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Sends a request that must be refused as a problem; answers its status and code.
pub(crate) async fn refused(request: RequestBuilder) -> (u16, String) {
    problem(request.send().await.unwrap()).await
}

/// Checks that a response is a whole problem; answers its status and code.
pub(crate) async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = response.text().await.unwrap();
    assert_eq!(kind, "application/problem+json", "{status}: {text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["error"], body["detail"], "{text}");
    for member in ["detail", "title", "fault", "retry"] {
        assert!(body[member].is_string(), "{member} in {text}");
    }
    (status, body["code"].as_str().unwrap().to_owned())
}

/// A signaling socket.
pub(crate) struct Socket {
    peer: String,
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Says something as this peer.
    pub(crate) async fn say(&mut self, signal: &ClientSignal) {
        let frame = SignalFrame::from_client(self.peer.parse().unwrap(), None, signal);
        self.send(Message::text(frame.to_text())).await;
    }

    /// Sends any frame.
    pub(crate) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Writes bytes past the WebSocket's own framing.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// The next text frame.
    pub(crate) async fn frame(&mut self) -> SignalFrame {
        match soon("a frame", self.message()).await {
            Message::Text(text) => SignalFrame::parse(text.as_bytes()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The next thing the registry itself says that `pick` takes.
    pub(crate) async fn hear<T>(&mut self, mut pick: impl FnMut(RegistrySignal) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.frame().await.registry_signal().unwrap()) {
                return found;
            }
        }
    }

    /// Waits for the close frame, past anything else.
    pub(crate) async fn closed(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(frame) = soon("a close", self.message()).await {
                return frame.expect("a close says why");
            }
        }
    }

    /// The code of the next `error` frame.
    pub(crate) async fn error(&mut self) -> String {
        self.hear(|signal| match signal {
            RegistrySignal::Error(problem) => Some(problem.code.to_string()),
            _ => None,
        })
        .await
    }

    async fn message(&mut self) -> Message {
        loop {
            match self
                .stream
                .next()
                .await
                .expect("the socket is open")
                .unwrap()
            {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }
}
