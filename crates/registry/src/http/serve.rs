//! Connections: accepted up to a limit, each with a limit of time for its requests' heads.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::problem::Failure;
use crate::tls::Acceptor;

/// Connections at once. A sidecar holds one, a browser six; the rest wait in the system's queue. Each costs some 20 kB
/// and a file descriptor.
pub(crate) const MAX_CONNECTIONS: usize = 16_384;

/// Milliseconds from a connection's opening, or from its last answer, to the end of the next request's head. Longer
/// than clients keep idle connections, so that it is they who close them and no request meets a closing one; short
/// enough that a client that sends a byte now and then does not hold its place for good.
const HEAD_TIMEOUT_MS: u64 = 120_000;

/// Largest head of a request, in bytes: a token of 4 kB fits many times.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Milliseconds a client may take for the TLS handshake: two round trips, on the slowest of lines.
const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;

/// Milliseconds that a connection beyond its address's share has to be told so.
const REFUSAL_TIMEOUT_MS: u64 = 2_000;

/// Milliseconds to wait after the system refused to accept (no file descriptors left, for one).
const ACCEPT_PAUSE_MS: u64 = 100;

/// What every connection comes in by.
#[derive(Clone)]
pub(crate) struct Entrance {
    /// TLS, where it is spoken.
    pub(crate) tls: Option<Acceptor>,
    /// What answers.
    pub(crate) router: Router,
    /// Who has how many connections.
    pub(crate) addresses: Addresses,
}

/// How many connections each address has, up to a limit.
#[derive(Clone)]
pub(crate) struct Addresses {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Addresses {
    /// Allows so many connections each.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            open: Arc::default(),
        }
    }

    /// A place for one more connection; `None`: the address has all that it may have.
    fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.lock();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        let addresses = self.clone();
        Some(Place { addresses, address })
    }

    // No panic can happen while the lock is held.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those of its address, for as long as it lives.
struct Place {
    addresses: Addresses,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Serves until `stopping` turns true and every connection has answered what it was asked.
pub(crate) async fn serve(
    listener: TcpListener,
    entrance: Entrance,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => break,
            accepted = accept(&listener, &places) => accepted,
        };
        if let Some((stream, place)) = accepted {
            let (entrance, stopping) = (entrance.clone(), stopping.clone());
            tokio::spawn(async move {
                connection(stream, entrance, stopping).await;
                drop(place);
            });
        }
    }
    drop(listener);
    // All places are free again once every connection has ended.
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    drop(places.acquire_many(all).await);
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            None
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone is a registry that has stopped.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

/// How a request came over the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls(pub(crate) bool);

/// Serves one connection, after the handshake where there is one. One too many is told so, and no more.
async fn connection(stream: TcpStream, entrance: Entrance, mut stopping: watch::Receiver<bool>) {
    // A peer that is gone already has nothing to be served.
    let Ok(remote) = stream.peer_addr() else {
        return;
    };
    // Answers are small and written whole: waiting for more to send only delays them.
    drop(stream.set_nodelay(true));
    let place = entrance.addresses.enter(remote.ip().to_canonical());
    let (router, limit) = match &place {
        Some(_) => (entrance.router, None),
        None => (refusing(), Some(Duration::from_millis(REFUSAL_TIMEOUT_MS))),
    };
    let Some(tls) = entrance.tls else {
        let plain = requests(stream, remote, OverTls(false), router, stopping);
        return at_most(limit, plain).await;
    };
    let acceptor = tls.borrow().clone();
    let handshake = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let shaken = tokio::select! {
        shaken = timeout(handshake, acceptor.accept(stream)) => shaken,
        () = stopped(&mut stopping) => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let safe = requests(stream, remote, OverTls(true), router, stopping);
            at_most(limit, safe).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn at_most(limit: Option<Duration>, work: impl Future<Output = ()>) {
    match limit {
        // Over the time there is nothing more to say.
        Some(limit) => drop(timeout(limit, work).await),
        None => work.await,
    }
}

/// What a connection beyond its address's share is answered with.
fn refusing() -> Router {
    Router::new().fallback(|| async {
        let detail = "this address has too many connections open";
        let mut response = Failure::limited(detail, 1).into_response();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    })
}

/// Answers the requests of one connection. When the registry stops, it answers the one at hand and closes.
async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: SocketAddr,
    over_tls: OverTls,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(remote));
        request.extensions_mut().insert(over_tls);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_TIMEOUT_MS))
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}
