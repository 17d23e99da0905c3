//! A collector of traces: takes what the registry exports (OTLP over HTTP in JSON) and hands the spans out.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::in_time;

/// A span, and who told it.
#[derive(Clone, Debug)]
pub struct Span {
    /// The `service.name` of its resource.
    pub service: String,
    /// The span, as it came.
    pub span: Value,
}

impl Span {
    /// A text member of the span; `""` when it has none.
    pub fn text(&self, member: &str) -> &str {
        self.span[member].as_str().unwrap_or_default()
    }

    /// A text attribute of the span; `""` when it has none.
    pub fn attribute(&self, key: &str) -> &str {
        let all = self.span["attributes"].as_array().into_iter().flatten();
        let mut found = all.filter(|attribute| attribute["key"] == key);
        let value = found
            .next()
            .map(|attribute| &attribute["value"]["stringValue"]);
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

/// A running collector. It ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    spans: mpsc::UnboundedReceiver<Span>,
    heads: mpsc::UnboundedReceiver<String>,
    serving: tokio::task::JoinHandle<()>,
}

impl Collector {
    /// Starts one on this address; each request is answered with `status`, such as `200 OK`.
    pub async fn start(address: SocketAddr, status: &'static str) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (tell, spans) = mpsc::unbounded_channel();
        let (tell_head, heads) = mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, tell_head) = (tell.clone(), tell_head.clone());
                // A connection that ends in an error is the registry's to notice.
                tokio::spawn(async move { drop(serve(stream, status, &tell, &tell_head).await) });
            }
        });
        Ok(Self {
            address,
            spans,
            heads,
            serving,
        })
    }

    /// Its URL, as `--otlp` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The head of the next request.
    pub async fn request(&mut self) -> Result<String> {
        let head = in_time("a request", self.heads.recv()).await?;
        head.context("the collector ended")
    }

    /// The next spans, until `enough` of them were told.
    pub async fn spans(&mut self, enough: usize) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        while spans.len() < enough {
            let next = in_time("another span", self.spans.recv()).await?;
            spans.push(next.context("the collector ended")?);
        }
        Ok(spans)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    stream: TcpStream,
    status: &str,
    tell: &mpsc::UnboundedSender<Span>,
    tell_head: &mpsc::UnboundedSender<String>,
) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        let Some(length) = length else {
            bail!("a request without its length");
        };
        let mut body = vec![0; length.trim().parse()?];
        stream.read_exact(&mut body).await?;
        let request: Value = serde_json::from_slice(&body)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for resource in list(&request["resourceSpans"]) {
            let service = &resource["resource"]["attributes"][0]["value"]["stringValue"];
            let service = service.as_str().unwrap_or_default();
            for span in list(&resource["scopeSpans"][0]["spans"]) {
                let service = service.to_owned();
                // Who no longer listens is not told.
                let _ = tell.send(Span { service, span });
            }
        }
        let _ = tell_head.send(head);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}
