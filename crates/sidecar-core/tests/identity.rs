//! Whom a sidecar links with, when what is between it and its peer lies.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use seamesh_identity::{SecretKey, verify};
use seamesh_proto::identity::{LinkIdentity, PublicKey, Signature};
use seamesh_proto::signaling::{
    ClientSignal, Description, PeerList, RegistrySignal, RevokedPeer, SignalFrame,
};
use seamesh_proto::{Code, Now, PeerId};
use seamesh_sidecar_core::{
    Config, DescriptionKind, Identity, Input, Keys, LinkId, Note, Output, Sidecar, Trust,
};

#[derive(Debug)]
struct Own(SecretKey);

impl Keys for Own {
    fn sign(&self, statement: &[u8]) -> Signature {
        self.0.sign(statement)
    }

    fn verify(&self, key: &PublicKey, statement: &[u8], signature: &Signature) -> bool {
        verify(key, statement, signature)
    }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

const ROOT: u8 = 100;

fn id(name: &str) -> PeerId {
    name.parse().unwrap()
}

/// An identity whose certificate the key of seed `root` signed.
fn identity(name: &str, seed: u8, root: u8, serial: u64) -> Identity {
    Identity {
        root: key(ROOT).public(),
        certificate: key(root).certify(&id(name), key(seed).public(), serial),
        keys: Arc::new(Own(key(seed))),
    }
}

fn sidecar(name: &str, identity: Option<Identity>, allow_unidentified: bool) -> Sidecar {
    let trust = Trust {
        identity,
        allow_unidentified,
    };
    // Each start has a seed of its own, and with it names of its own for its attempts.
    static STARTS: AtomicU8 = AtomicU8::new(0);
    let seed = [STARTS.fetch_add(1, Ordering::Relaxed); 32];
    let mut core = Sidecar::with_trust(&Config { seed }, trust);
    core.handle(Input::SignalingUp { peer_id: id(name) }, Now(0));
    core
}

fn good(name: &str) -> Sidecar {
    sidecar(
        name,
        Some(identity(name, name.as_bytes()[0], ROOT, 1)),
        false,
    )
}

fn sdp(byte: &str) -> String {
    format!("v=0\r\na=fingerprint:sha-256 {}\r\n", [byte; 32].join(":"))
}

/// What became of an attempt of `a` to link with `b`.
#[derive(Debug, Default)]
struct Outcome {
    /// `b` took the offer.
    accepted: bool,
    /// `a` took the answer.
    answered: bool,
    /// Both channels opened.
    opened: Vec<bool>,
    /// Why `a` and `b` say there is no link, and whether the other end told them.
    why: [Vec<(Code, bool)>; 2],
}

fn pick<'a>(first: &'a mut Sidecar, second: &'a mut Sidecar, n: usize) -> &'a mut Sidecar {
    if n == 0 { first } else { second }
}

/// `a` dials `b` over a relay that may change every description.
fn dial(a: &mut Sidecar, b: &mut Sidecar, relay: impl Fn(&mut Description)) -> Outcome {
    let mut outcome = Outcome::default();
    let list = RegistrySignal::PeerList(PeerList {
        peers: vec![id("b")],
    });
    let frame = SignalFrame::from_registry(&list);
    a.handle(Input::Signal { frame }, Now(1));
    let mut links: [Option<LinkId>; 2] = [None, None];
    let mut is_quiet = false;
    while !is_quiet {
        is_quiet = true;
        for (me, dialed) in links.iter_mut().enumerate() {
            let mut inbox = Vec::new();
            while let Some(output) = pick(a, b, me).poll() {
                is_quiet = false;
                let core = pick(a, b, me);
                match output {
                    Output::LinkOffer { link, .. } => {
                        *dialed = Some(link);
                        let (kind, sdp) = (DescriptionKind::Offer, sdp("AA"));
                        core.handle(Input::LinkDescription { link, kind, sdp }, Now(2));
                    }
                    Output::LinkAccept { link, .. } => {
                        outcome.accepted = true;
                        *dialed = Some(link);
                        let (kind, sdp) = (DescriptionKind::Answer, sdp("BB"));
                        core.handle(Input::LinkDescription { link, kind, sdp }, Now(2));
                    }
                    Output::LinkAnswer { .. } => outcome.answered = true,
                    Output::Signal { frame } if frame.target_id.is_some() => inbox.push(frame),
                    Output::Note(Note::LinkRefused { code, by_peer, .. }) => {
                        outcome.why[me].push((code, by_peer));
                    }
                    Output::Note(Note::LinkOpened { identified, .. }) => {
                        outcome.opened.push(identified)
                    }
                    _ => {}
                }
            }
            for frame in inbox {
                let frame = relayed(frame, &relay);
                pick(b, a, me).handle(Input::Signal { frame }, Now(3));
            }
        }
        if is_quiet && outcome.answered && outcome.opened.is_empty() {
            is_quiet = false;
            a.handle(
                Input::LinkOpened {
                    link: links[0].unwrap(),
                    relayed: false,
                },
                Now(4),
            );
            b.handle(
                Input::LinkOpened {
                    link: links[1].unwrap(),
                    relayed: false,
                },
                Now(4),
            );
        }
    }
    outcome
}

fn relayed(frame: SignalFrame, relay: impl Fn(&mut Description)) -> SignalFrame {
    let (from, to) = (frame.peer_id.clone(), frame.target_id.clone());
    let mut signal = frame.client_signal().unwrap();
    if let ClientSignal::Offer(description) | ClientSignal::Answer(description) = &mut signal {
        relay(description);
    }
    SignalFrame::from_client(from, to, &signal)
}

fn honest(_: &mut Description) {}

/// Nobody has a link, `who` (0: the dialing end) found out why, and the other end was told.
fn refused(outcome: &Outcome, who: usize, code: Code) {
    assert!(outcome.opened.is_empty(), "{outcome:?}");
    assert_eq!(outcome.why[who], [(code, false)], "{outcome:?}");
    assert_eq!(outcome.why[1 - who], [(code, true)], "{outcome:?}");
}

#[test]
fn two_with_an_identity_link_and_know_each_other() {
    let outcome = dial(&mut good("a"), &mut good("b"), honest);
    assert_eq!(outcome.opened, [true, true], "{outcome:?}");
}

#[test]
fn a_relay_that_swaps_a_fingerprint_gets_no_link_and_both_ends_say_why() {
    let in_offer = |d: &mut Description| d.sdp = d.sdp.replace("AA", "CC");
    let outcome = dial(&mut good("a"), &mut good("b"), in_offer);
    refused(&outcome, 1, Code::IdentityInvalid);
    assert!(!outcome.accepted);
    let in_answer = |d: &mut Description| d.sdp = d.sdp.replace("BB", "CC");
    let outcome = dial(&mut good("a"), &mut good("b"), in_answer);
    refused(&outcome, 0, Code::IdentityInvalid);
    assert!(!outcome.answered);
}

#[test]
fn a_relay_that_adds_a_second_fingerprint_gets_no_link() {
    let adds = |d: &mut Description| d.sdp.push_str(&sdp("CC"));
    let outcome = dial(&mut good("a"), &mut good("b"), adds);
    refused(&outcome, 1, Code::IdentityInvalid);
}

#[test]
fn a_relay_that_takes_the_identity_away_gets_no_link() {
    let strips = |d: &mut Description| d.identity = None;
    let outcome = dial(&mut good("a"), &mut good("b"), strips);
    refused(&outcome, 1, Code::IdentityRequired);
}

#[test]
fn a_signed_offer_for_one_peer_is_worth_nothing_to_another() {
    // The relay sends what `a` said to `b` on to `c`.
    let (mut a, mut c) = (good("a"), good("c"));
    let outcome = dial(&mut a, &mut c, honest);
    assert!(!outcome.accepted);
    assert_eq!(outcome.why[1], [(Code::IdentityInvalid, false)]);
}

#[test]
fn a_registry_without_the_root_key_that_swaps_a_key_gets_no_link() {
    // It signs its own key for `a` with a root key of its own, and the fingerprint with that key.
    let liar = identity("a", 66, 67, 9);
    let outcome = dial(&mut sidecar("a", Some(liar), false), &mut good("b"), honest);
    refused(&outcome, 1, Code::IdentityInvalid);
}

#[test]
fn a_member_cannot_appear_as_another() {
    let mallory = identity("m", 77, ROOT, 1);
    let outcome = dial(
        &mut sidecar("a", Some(mallory), false),
        &mut good("b"),
        honest,
    );
    refused(&outcome, 1, Code::IdentityInvalid);
}

#[test]
fn a_changed_key_is_refused_until_a_newer_certificate_approves_it() {
    let mut b = good("b");
    dial(&mut good("a"), &mut b, honest);
    let rolled_back = identity("a", 88, ROOT, 1);
    let outcome = dial(&mut sidecar("a", Some(rolled_back), false), &mut b, honest);
    refused(&outcome, 1, Code::IdentityChanged);
    let rotated = identity("a", 88, ROOT, 2);
    let outcome = dial(&mut sidecar("a", Some(rotated), false), &mut b, honest);
    assert_eq!(outcome.opened, [true, true], "{outcome:?}");
    let outcome = dial(&mut good("a"), &mut b, honest);
    refused(&outcome, 1, Code::IdentityChanged);
}

#[test]
fn without_an_identity_a_link_needs_the_operators_word_on_both_ends() {
    let outcome = dial(&mut sidecar("a", None, true), &mut good("b"), honest);
    refused(&outcome, 1, Code::IdentityRequired);
    let outcome = dial(&mut good("a"), &mut sidecar("b", None, false), honest);
    refused(&outcome, 1, Code::IdentityRequired);
    let tolerant = || sidecar("b", Some(identity("b", 98, ROOT, 1)), true);
    let outcome = dial(&mut sidecar("a", None, true), &mut tolerant(), honest);
    assert_eq!(outcome.opened, [false, false], "{outcome:?}");
    // The switch lets in those without an identity, not those with a false one.
    let swapped = |d: &mut Description| d.sdp = d.sdp.replace("AA", "CC");
    let outcome = dial(&mut good("a"), &mut tolerant(), swapped);
    refused(&outcome, 1, Code::IdentityInvalid);
}

#[test]
fn a_peer_that_has_shown_an_identity_is_not_taken_without_one_any_more() {
    let mut b = sidecar("b", Some(identity("b", 98, ROOT, 1)), true);
    dial(&mut good("a"), &mut b, honest);
    let outcome = dial(&mut sidecar("a", None, true), &mut b, honest);
    refused(&outcome, 1, Code::IdentityChanged);
}

#[test]
fn a_forged_offer_leaves_an_open_link_alone_and_a_revocation_ends_it() {
    let (mut a, mut b) = (good("a"), good("b"));
    dial(&mut a, &mut b, honest);
    let forged = Description {
        sdp: sdp("CC"),
        link: Some("x".to_owned()),
        version: Some(1),
        identity: None::<LinkIdentity>,
    };
    let frame = SignalFrame::from_client(id("a"), Some(id("b")), &ClientSignal::Offer(forged));
    b.handle(Input::Signal { frame }, Now(5));
    assert_eq!(b.linked_peers(), [id("a")]);
    let revoked = RegistrySignal::PeerRevoked(RevokedPeer { peer_id: id("a") });
    let frame = SignalFrame::from_registry(&revoked);
    b.handle(Input::Signal { frame }, Now(6));
    assert!(b.linked_peers().is_empty());
    let closes = std::iter::from_fn(|| b.poll()).any(|o| matches!(o, Output::LinkClose { .. }));
    assert!(closes);
}
