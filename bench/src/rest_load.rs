//! Connections that submit one task after the other over HTTP/1.1, written by hand: the load costs little beside what it
//! measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections at once: a small team of agents, all busy.
pub(crate) const CONNECTIONS: usize = 32;

/// Where to submit, and as whom.
#[derive(Clone)]
pub(crate) struct Target {
    /// The registry.
    pub(crate) address: SocketAddr,
    /// The API key.
    pub(crate) key: String,
}

/// Tasks of the load are numbered from here: all numbers have as many digits, so that a request is written once and only
/// its number changes.
pub(crate) const FIRST_NUMBER: usize = 100_000_000;

/// Largest answer that a submit may have, in bytes.
const MAX_ANSWER: usize = 4096;

/// One connection. It has its next request when the last one's answer is whole.
pub(crate) struct Submitter {
    stream: TcpStream,
    request: Vec<u8>,
    number_at: usize,
    answer: Vec<u8>,
}

impl Submitter {
    /// Opens it; it will submit tasks for `skill`.
    pub(crate) async fn connect(target: &Target, skill: &str) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let payload = json!({ "n": FIRST_NUMBER, "q": "x".repeat(100) });
        let body = json!({ "skill": skill, "payload": payload }).to_string();
        let head = format!(
            "POST /api/hub/tasks HTTP/1.1\r\nhost: bench\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            target.key,
            body.len()
        );
        let number = body.find(&FIRST_NUMBER.to_string());
        let number_at = head.len() + number.context("a body with its number")?;
        Ok(Self {
            stream,
            request: (head + &body).into_bytes(),
            number_at,
            answer: vec![0; MAX_ANSWER],
        })
    }

    /// Submits task number `n`. Returns once it is durable.
    pub(crate) async fn submit(&mut self, n: usize) -> Result<()> {
        let mut rest = n;
        for digit in self.request[self.number_at..][..9].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        ensure!(rest == 0 && n >= FIRST_NUMBER, "{n} has not nine digits");
        self.stream.write_all(&self.request).await?;
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.answer[length..]).await?;
            ensure!(read > 0, "the registry closed a connection");
            length += read;
            if let Some(body) = whole_body(&self.answer[..length]) {
                return check(&self.answer[..length], body);
            }
        }
    }
}

/// The body of an answer that is whole.
fn whole_body(answer: &[u8]) -> Option<&[u8]> {
    let end = find(answer, b"\r\n\r\n")?;
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let length = &head[find(head, b"content-length: ")? + 16..];
    let digits = length.iter().take_while(|b| b.is_ascii_digit());
    let length = digits.fold(0, |sum, b| sum * 10 + usize::from(b - b'0'));
    (body.len() >= length).then_some(body)
}

/// Whether a submit was answered with its task's id.
fn check(answer: &[u8], body: &[u8]) -> Result<()> {
    let id = body.strip_prefix(br#"{"task_id":""#);
    let id = id.and_then(|rest| rest.strip_suffix(br#""}"#));
    ensure!(
        answer.starts_with(b"HTTP/1.1 200") && id.is_some_and(|id| !id.is_empty()),
        "a submit was refused: {}",
        String::from_utf8_lossy(answer)
    );
    Ok(())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|piece| piece == what)
}

/// Durable submits per second over all connections, for so long.
pub(crate) async fn submits_per_s(target: &Target, time: Duration) -> Result<Rate> {
    let mut submitters = Vec::new();
    for _ in 0..CONNECTIONS {
        // Nobody offers it: only the submit is measured.
        submitters.push(Submitter::connect(target, "nobody").await?);
    }
    let start = Instant::now();
    let mut connections = JoinSet::new();
    for mut submitter in submitters {
        connections.spawn(async move {
            let mut count = 0;
            while start.elapsed() < time {
                submitter.submit(FIRST_NUMBER + count).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(done) = connections.join_next().await {
        count += done.context("a connection's task")??;
    }
    Ok(Rate {
        count,
        per_s: count as f64 / start.elapsed().as_secs_f64(),
    })
}

/// What one run of a load came to.
pub(crate) struct Rate {
    /// Tasks.
    pub(crate) count: usize,
    /// Tasks per second.
    pub(crate) per_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_with_a_task_id_counts_as_a_submit() {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\nx: y\r\n\r\n{\"task_id\":\"a\"}";
        for cut in 0..ok.len() {
            assert_eq!(whole_body(&ok[..cut]), None, "{cut}");
        }
        assert!(check(ok, whole_body(ok).unwrap()).is_ok());
        let empty = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert!(check(empty, whole_body(empty).unwrap()).is_err());
        let refused = b"HTTP/1.1 503 x\r\ncontent-length: 15\r\n\r\n{\"task_id\":\"a\"}";
        assert!(check(refused, whole_body(refused).unwrap()).is_err());
    }
}
