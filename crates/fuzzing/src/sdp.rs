//! A peer's session description and its candidates, as they come through a relay.

use seamesh_sdp::{Candidate, Description, DescriptionKind, Parsed};

/// What our own stack announces.
const MAX_MESSAGE_BYTES: u32 = 65_536;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for kind in [DescriptionKind::Offer, DescriptionKind::Answer] {
        let Ok(description) = Description::parse(text, kind) else {
            continue;
        };
        // What the stack is given says the same, and nothing else.
        let written = description.to_sdp(MAX_MESSAGE_BYTES);
        let again = Description::parse(&written, kind).expect("what is written can be read");
        assert_eq!(again.fingerprint(), description.fingerprint());
        assert_eq!(again.ufrag(), description.ufrag());
        assert_eq!(again.candidates().len(), description.candidates().len());
        assert_eq!(again.to_sdp(MAX_MESSAGE_BYTES), written);
        assert!(
            written
                .split("\r\n")
                .all(|line| !line.contains(['\r', '\n'])),
            "no line is smuggled in: {written:?}"
        );
        assert_eq!(written.matches("\r\nm=").count(), 1, "{written:?}");
        assert_eq!(written.matches("a=fingerprint:").count(), 1, "{written:?}");
    }
    for line in text.lines() {
        if let Ok(Parsed::Usable(candidate)) = Candidate::parse(line) {
            let written = candidate.to_string();
            let again = Candidate::parse(&written).expect("what is written can be read");
            let Parsed::Usable(again) = again else {
                panic!("{written}: not usable any more");
            };
            assert_eq!(again.address(), candidate.address());
        }
    }
}

/// Of our own stack, of a browser and of aiortc.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let hash = ["AB"; 32].join(":");
    let ours = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 {hash}\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\n\
         a=sendrecv\r\na=sctp-port:5000\r\na=max-message-size:65536\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    );
    let candidates = [
        "candidate:842163049 1 udp 1677729535 192.0.2.7 46154 typ srflx raddr 10.0.0.17 rport 46154 generation 0 ufrag EEtu",
        "6815297761 1 udp 2130706431 192.168.0.2 44444 typ host",
        "candidate:1 1 tcp 1518280447 10.0.0.1 9 typ host tcptype active",
        "candidate:1 1 udp 2130706431 0e2c.local 5000 typ host",
        "candidate:1 1 udp 2130706431 2001:db8::1 5000 typ relay raddr ::1 rport 9",
    ];
    let with: String = candidates
        .iter()
        .map(|line| format!("a={line}\r\n"))
        .collect();
    let answer =
        ours.replace("actpass", "active") + &with + "a=ice-lite\r\na=end-of-candidates\r\n";
    let old = ours
        .replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000")
        .replace(
            "a=sctp-port:5000",
            "a=sctpmap:5000 webrtc-datachannel 65535",
        );
    let other = format!("{ours}a=fingerprint:sha-1 AB:CD\r\na=fingerprint:SHA-256 {hash}\r\n");
    let seeds = [ours, answer, old, other, candidates.join("\n")];
    seeds.into_iter().map(String::into_bytes).collect()
}
