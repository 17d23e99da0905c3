//! The event stream resumes where it stopped.
#![allow(clippy::unwrap_used)]

use seamesh_client::{ClientError, Credential, Registry};
use seamesh_proto::events::MeshEvent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let n = tcp.read(&mut piece).await.unwrap();
        assert!(n > 0, "the client hung up");
        head.extend_from_slice(&piece[..n]);
    }
    String::from_utf8(head).unwrap()
}

fn event(seq: u64) -> String {
    let body = r#"{"type":"link_up","payload":{"from_peer":"a","to_peer":"b"}}"#;
    format!("id: {seq}\ndata: {{\"seq\":{seq},\"at_ms\":1,\"event\":{body}}}\n\n")
}

#[tokio::test]
async fn a_broken_stream_resumes_after_the_last_event_seen_and_skips_kinds_it_does_not_know() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let ok = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let unknown = "data: {\"seq\":6,\"at_ms\":1,\"event\":{\"type\":\"from_the_future\"}}\n\n";
        let mut asked = Vec::new();
        for text in [format!("{}{unknown}data: half", event(5)), event(7)] {
            let (mut tcp, _) = listener.accept().await.unwrap();
            asked.push(head(&mut tcp).await);
            tcp.write_all(format!("{ok}{text}").as_bytes())
                .await
                .unwrap();
        }
        asked
    });
    let registry = Registry::new(url.parse().unwrap(), Credential::None).unwrap();
    let mut events = registry.events(Some(4)).await.unwrap();
    let first = events.next().await.unwrap();
    assert_eq!(first.seq, 5);
    assert!(matches!(first.event, MeshEvent::LinkUp(_)));
    let error = events.next().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(events.next().await.unwrap().seq, 7);
    let asked = server.await.unwrap();
    assert!(
        asked[0].starts_with("GET /api/events?after=4 "),
        "{}",
        asked[0]
    );
    assert!(
        asked[1].starts_with("GET /api/events?after=5 "),
        "{}",
        asked[1]
    );
}
