//! The signaling WebSocket: from a socket to inputs of the core, and from its queue to the socket.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{CloseCode, CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::{MAX_SIGNAL_BYTES, UNREADABLE_FRAMES_PER_MINUTE};
use seamesh_proto::signaling::{RegistrySignal, SignalFrame};
use seamesh_proto::{Code, Problem, seam};
use seamesh_registry_core::{ConnId, Input};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::call::{Answer, Call};
use super::problem::Failure;
use crate::app::App;
use crate::auth::Principal;
use crate::limiter::{Rate, Tries};
use crate::sockets::{Outbox, Outgoing};

/// Milliseconds the other end has to answer a close frame.
const CLOSE_GRACE_MS: u64 = 1_000;

/// Largest message that is read off the socket, in bytes. Between [`MAX_SIGNAL_BYTES`] and this a frame is refused and
/// the socket stays; over it nothing more can be read from the stream and the socket is closed.
const MAX_READ_BYTES: usize = 4 * MAX_SIGNAL_BYTES;

/// What a socket reads and writes at once, in bytes. Each socket keeps a buffer of this size for as long as it lives, an
/// idle one too: larger messages grow it.
const READ_BUFFER_BYTES: usize = 8 * 1024;
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Frames handed to the socket before it is flushed.
const MAX_UNFLUSHED: usize = 64;

pub(super) async fn upgrade(mut call: Call) -> Answer {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut call.parts, &()).await;
    let upgrade = upgrade.map_err(|rejection| {
        let detail = format!("this is a WebSocket: {}", rejection.body_text());
        Failure::new(Code::BadField, detail)
    })?;
    let principal = call.principal()?.clone();
    let program = call.caller();
    let app = call.app;
    Ok(upgrade
        .max_message_size(MAX_READ_BYTES)
        .max_frame_size(MAX_READ_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| serve(app, principal, program, socket)))
}

/// Serves one socket from its opening to its end.
async fn serve(app: Arc<App>, principal: Principal, program: Option<Party>, socket: WebSocket) {
    let _serving = app.sockets.serving();
    let (conn, outbox) = app.sockets.insert(principal.peer_id.clone());
    app.metrics.sockets_opened.fetch_add(1, Relaxed);
    let caller = principal.caller();
    app.core.input(Input::Connected { conn, caller }).await;
    if *app.stopping.borrow() || !crate::auth::is_alive(&app, &principal) {
        // It came in while the door was being shut.
        app.sockets.close(conn, Code::Unauthorized);
    }
    let (sink, mut stream) = socket.split();
    let mut writer = tokio::spawn(write(sink, outbox, app.limits.ping));
    let written = tokio::select! {
        () = read(&app, &principal, conn, program, &mut stream) => false,
        _ = &mut writer => true,
    };
    app.sockets.remove(conn);
    app.core.input(Input::Disconnected { conn }).await;
    if written {
        let rest = async { while stream.next().await.is_some_and(|m| m.is_ok()) {} };
        let _ = timeout(Duration::from_millis(CLOSE_GRACE_MS), rest).await;
    } else {
        // The queue's sending end is gone: the writer sends what waits and ends, or gives up.
        let grace = Duration::from_millis(CLOSE_GRACE_MS);
        if timeout(grace, &mut writer).await.is_err() {
            writer.abort();
        }
    }
    tracing::debug!(peer = %principal.peer_id, conn = conn.0, "a signaling socket closed");
}

/// Feeds the core until the socket ends, falls silent or cannot be read any more.
async fn read(
    app: &App,
    principal: &Principal,
    conn: ConnId,
    program: Option<Party>,
    stream: &mut SplitStream<WebSocket>,
) {
    let idle = app.limits.idle;
    let mut garbage = Tries::new(Rate::per_minute(UNREADABLE_FRAMES_PER_MINUTE));
    loop {
        let message = match timeout(idle, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => {
                return refuse_unreadable(app, conn, &error.to_string());
            }
            Ok(None) => return,
            Err(_) => return tracing::debug!(conn = conn.0, "a signaling socket fell silent"),
        };
        let mut is_garbage = false;
        match message {
            Message::Text(text) => {
                pace(app, principal, conn).await;
                let mut parse = || {
                    let input = frame(conn, text.as_bytes());
                    is_garbage = matches!(input, Input::BadFrame { .. });
                    if let Input::Frame { frame, .. } = &input {
                        app.metrics.frame(&frame.kind);
                    }
                    input
                };
                let arrival = arrival(text.as_bytes(), program);
                if let Some(hold) = arrival.hold {
                    tokio::time::sleep(hold).await;
                }
                for _ in 0..times(text.as_bytes()) {
                    app.core.frame(text.len(), &mut parse).await;
                }
                if arrival.is_last {
                    return tracing::info!(conn = conn.0, "a planted fault ends a socket");
                }
            }
            Message::Binary(_) => {
                pace(app, principal, conn).await;
                let detail = "send text frames; a binary frame says nothing here";
                let problem = Problem::new(Code::BadEncoding, detail);
                app.core.input(bad_frame(conn, problem)).await;
                is_garbage = true;
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return,
        }
        if is_garbage && !garbage.take(app.clock.now()) {
            let detail = format!(
                "more than {UNREADABLE_FRAMES_PER_MINUTE} frames a minute that cannot be read"
            );
            tracing::warn!(peer = %principal.peer_id, "a signaling socket sends garbage; closing it");
            return refuse_socket(app, conn, Problem::new(Code::RateLimited, detail));
        }
    }
}

/// Waits until the identity may send one more frame. Told once, then the socket is not read until then: what waits in it
/// slows its sender down.
async fn pace(app: &App, principal: &Principal, conn: ConnId) {
    let mut is_told = false;
    while let Err(seconds) = app.frames.take(principal.peer_id.clone(), app.clock.now()) {
        if !std::mem::replace(&mut is_told, true) {
            let detail =
                format!("too many frames with this credential; read on in {seconds} s or later");
            let problem = Problem::new(Code::RateLimited, detail);
            app.core.input(bad_frame(conn, problem)).await;
        }
        sleep(Duration::from_secs(seconds)).await;
    }
}

/// What a planted fault does to a socket: only to one of a real sidecar, which dials again.
fn arrival(text: &[u8], program: Option<Party>) -> seam::Arrival {
    match seam::kind_of(text) {
        Some(kind) if program == Some(Party::Sidecar) => {
            seam::arrived(Channel::Signaling, &kind, program, Some(Party::Registry))
        }
        _ => seam::Arrival::default(),
    }
}

fn times(text: &[u8]) -> usize {
    let sidecar = Some(Party::Sidecar);
    match seam::kind_of(text) {
        Some(kind) => seam::heard(Channel::Signaling, &kind, sidecar, Party::Registry),
        None => 1,
    }
}

fn frame(conn: ConnId, text: &[u8]) -> Input {
    if text.len() > MAX_SIGNAL_BYTES {
        let detail = format!(
            "a frame of {} bytes; at most {MAX_SIGNAL_BYTES} are taken",
            text.len()
        );
        return bad_frame(conn, Problem::new(Code::TooLarge, detail));
    }
    match SignalFrame::parse(text) {
        Ok(frame) => Input::Frame { conn, frame },
        Err(error) => bad_frame(conn, error.into()),
    }
}

fn bad_frame(conn: ConnId, problem: Problem) -> Input {
    Input::BadFrame { conn, problem }
}

/// The stream is out of step (text that is not UTF-8, a frame over every limit, a broken header; RFC 6455, section
/// 7.1.7): the last thing the other end hears is why.
fn refuse_unreadable(app: &App, conn: ConnId, what: &str) {
    let code = if what.contains("too long") {
        Code::TooLarge
    } else {
        Code::BadEncoding
    };
    let problem = Problem::new(code, format!("the socket cannot be read any more: {what}"));
    refuse_socket(app, conn, problem);
}

/// The last thing the other end hears.
fn refuse_socket(app: &App, conn: ConnId, problem: Problem) {
    let code = problem.code;
    let frame = SignalFrame::from_registry(&RegistrySignal::Error(problem));
    app.sockets.send(&[conn], &frame.to_text().into());
    app.sockets.close(conn, code);
    app.metrics.frames_refused.fetch_add(1, Relaxed);
}

/// Sends what is queued, with pings between, until the queue ends or the socket is cut.
async fn write(mut sink: SplitSink<WebSocket, Message>, mut outbox: Outbox, ping: Duration) {
    let mut pings = interval_at(Instant::now() + ping, ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cut = outbox.cut();
    loop {
        let sent = tokio::select! {
            biased;
            next = outbox.next() => match next {
                Some(first) => tokio::select! {
                    biased;
                    // The queue's other end cuts a socket that does not take what is sent.
                    () = cut.happened() => return,
                    sent = send(&mut sink, &mut outbox, first) => sent,
                },
                None => return,
            },
            _ = pings.tick() => sink.send(Message::Ping(axum::body::Bytes::new())).await.map(|()| true),
        };
        if !matches!(sent, Ok(true)) {
            return;
        }
    }
}

/// Sends one frame and those that wait behind it. `false` after a close frame.
async fn send(
    sink: &mut SplitSink<WebSocket, Message>,
    outbox: &mut Outbox,
    first: Outgoing,
) -> Result<bool, axum::Error> {
    let mut next = Some(first);
    for _ in 0..MAX_UNFLUSHED {
        match next {
            Some(Outgoing::Text(text)) => {
                let bytes = text.len();
                sink.feed(Message::Text(text)).await?;
                outbox.sent(bytes);
            }
            Some(Outgoing::Close(code, reason)) => {
                sink.send(close_message(code, reason)).await?;
                return Ok(false);
            }
            None => break,
        }
        next = outbox.next_waiting();
    }
    // The loop may end with one frame taken out of the queue.
    match next {
        Some(Outgoing::Text(text)) => {
            let bytes = text.len();
            sink.feed(Message::Text(text)).await?;
            outbox.sent(bytes);
        }
        Some(Outgoing::Close(code, reason)) => {
            sink.send(close_message(code, reason)).await?;
            return Ok(false);
        }
        None => {}
    }
    sink.flush().await?;
    Ok(true)
}

fn close_message(code: CloseCode, reason: &'static str) -> Message {
    debug_assert_ne!(code, close_code::ABNORMAL, "never sent (RFC 6455, 7.4.1)");
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}
