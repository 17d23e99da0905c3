//! What a peer sends over an open link: pieces of a stream of lines, and whole messages.

use bytes::Bytes;
use seamesh_proto::Now;
use seamesh_proto::link::MeshMessage;
use seamesh_proto::signaling::{ClientSignal, Description, PeerList, RegistrySignal, SignalFrame};
use seamesh_sidecar_core::{
    ClientId, Config, DescriptionKind, Input, LinkId, Output, Piece, Sidecar,
};

use crate::{check_detail, ipc, vectors};

const NOW: Now = Now(1_800_000_000_000);

/// A sidecar with an agent, and a link to a native peer.
struct Linked {
    sidecar: Sidecar,
    link: Option<LinkId>,
}

impl Linked {
    fn new() -> Self {
        let mut linked = Self {
            sidecar: Sidecar::new(&Config { seed: [7; 32] }),
            link: None,
        };
        let client = ClientId(1);
        let peer_id = "p1".parse().expect("a valid id");
        linked.handle(Input::SignalingUp { peer_id });
        linked.handle(Input::IpcConnected { client });
        let hello = br#"{"type":"hello","payload":{"version":1,"agent":{"agent_id":"a","skills":[{"name":"s"}]}}}"#;
        linked.sidecar.handle_line(client, hello, NOW);
        linked.settle();
        let peers = vec!["p2".parse().expect("a valid id")];
        let list = RegistrySignal::PeerList(PeerList { peers });
        linked.handle(Input::Signal {
            frame: SignalFrame::from_registry(&list),
        });
        linked
    }

    fn handle(&mut self, input: Input) {
        self.sidecar.handle(input, NOW);
        self.settle();
    }

    /// The transport and the other end, as far as opening the link needs them.
    fn settle(&mut self) {
        while let Some(output) = self.sidecar.poll() {
            ipc::check(&output);
            match output {
                Output::LinkOffer { link, .. } => {
                    self.link = Some(link);
                    let input = Input::LinkDescription {
                        link,
                        kind: DescriptionKind::Offer,
                        sdp: "v=0".to_owned(),
                    };
                    self.sidecar.handle(input, NOW);
                }
                Output::Signal { frame } if frame.kind == "offer" => {
                    let answer = Description {
                        sdp: "v=0".to_owned(),
                        link: frame.payload["link"].as_str().map(str::to_owned),
                        version: Some(1),
                        identity: None,
                    };
                    let from = "p2".parse().expect("a valid id");
                    let answer = ClientSignal::Answer(answer);
                    let frame = SignalFrame::from_client(from, Some(frame.peer_id), &answer);
                    self.sidecar.handle(Input::Signal { frame }, NOW);
                }
                Output::LinkAnswer { link, .. } => {
                    self.sidecar.handle(
                        Input::LinkOpened {
                            link,
                            relayed: false,
                        },
                        NOW,
                    );
                }
                Output::LinkReady { link } => {
                    while self.sidecar.take_piece(link, usize::MAX).is_some() {}
                }
                _ => {}
            }
        }
    }
}

/// Pieces end with a zero byte; the first byte of each says whether it is of the stream or a whole message.
pub(crate) fn run(data: &[u8]) {
    let mut linked = Linked::new();
    assert_eq!(linked.sidecar.linked_peers().len(), 1, "the link is open");
    for piece in data.split(|byte| *byte == 0) {
        let Some((first, bytes)) = piece.split_first() else {
            continue;
        };
        if let Err(error) = MeshMessage::parse(bytes).and_then(|message| message.sidecar_body()) {
            check_detail(&error.detail);
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let piece = match first % 2 {
            0 => Piece::Binary(bytes),
            _ => Piece::Text(bytes),
        };
        if let Some(link) = linked.link {
            linked.handle(Input::LinkMessage { link, piece });
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let messages = vectors::of("link", |_| true);
    let seeds = messages.into_iter().flat_map(|(_, message)| {
        let half = message.len() / 2;
        let (head, tail) = message.split_at(half);
        let whole = [b"1", &message[..]].concat();
        let stream = [b"0", head, b"\x000", tail, b"\n"].concat();
        [whole, stream]
    });
    seeds.collect()
}
