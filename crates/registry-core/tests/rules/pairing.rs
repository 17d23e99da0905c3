use seamesh_proto::identity::{Certificate, PublicKey, Signature};
use seamesh_proto::limits::{INVITE_TTL_S, MAX_PAIR_ATTEMPTS_OVERALL, PAIR_WINDOW_S};
use seamesh_proto::rest::{PairAnswer, PairingStatus};
use seamesh_proto::{Code, PeerId, Problem, TaskState};
use seamesh_registry_core::{InviteTerms, Newcomer, Op, Reply};

use crate::world::{World, operator, work};

fn terms() -> InviteTerms {
    InviteTerms {
        ttl_s: INVITE_TTL_S,
        uses: 1,
        join_token: false,
        peer_id: None,
    }
}

fn invite_with(world: &mut World, digest: &str, terms: InviteTerms) -> String {
    let digest = digest.to_owned();
    let op = Op::CreateInvite {
        digest: digest.clone(),
        terms,
    };
    assert_eq!(world.ask(operator(), op), Ok(Reply::Done));
    digest
}

fn invite(world: &mut World) -> String {
    invite_with(world, "digest of the code", terms())
}

fn redeem_as(
    world: &mut World,
    address: &str,
    digest: Option<&str>,
    newcomer: Newcomer,
) -> Result<(PairAnswer, bool), Problem> {
    let op = Op::RedeemInvite {
        address: address.to_owned(),
        digest: digest.map(str::to_owned),
        newcomer,
    };
    world.ask(operator(), op).map(|reply| match reply {
        Reply::Paired { answer, join_token } => (answer, join_token),
        other => panic!("{other:?}"),
    })
}

fn redeem(world: &mut World, digest: &str, name: &str) -> Result<PairAnswer, Problem> {
    let newcomer = Newcomer {
        agent_name: name.to_owned(),
        identity: None,
    };
    redeem_as(world, "192.0.2.1", Some(digest), newcomer).map(|(answer, _)| answer)
}

fn with_key(byte: u8) -> Newcomer {
    Newcomer {
        agent_name: format!("agent {byte}"),
        identity: Some((PublicKey([byte; 32]), format!("own digest {byte}"))),
    }
}

fn certificate(peer: &PeerId, byte: u8, serial: u64) -> Certificate {
    Certificate {
        peer_id: peer.clone(),
        key: PublicKey([byte; 32]),
        serial,
        signature: Signature([0; 64]),
    }
}

fn approve_with(
    world: &mut World,
    entry: &str,
    certificate: Option<Certificate>,
) -> Result<Reply, Problem> {
    let op = Op::Approve {
        id: entry.to_owned(),
        token_digest: format!("digest of {entry}"),
        certificate,
    };
    world.ask(operator(), op)
}

fn approve(world: &mut World, entry: &str) -> Result<Reply, Problem> {
    approve_with(world, entry, None)
}

fn device(world: &mut World, entry: &str) -> Result<Reply, Problem> {
    let token_digest = format!("digest of {entry}");
    world.ask(operator(), Op::CheckDevice { token_digest })
}

#[test]
fn a_newcomer_is_let_in_by_its_code_and_an_approval_and_out_by_a_revocation() {
    let mut world = World::new();
    let code = invite(&mut world);
    let newcomer = redeem(&mut world, &code, " fresh ").unwrap();
    assert_eq!(newcomer.status, PairingStatus::PendingApproval);
    assert_eq!(
        device(&mut world, &newcomer.id).unwrap_err().code,
        Code::Unauthorized
    );
    approve(&mut world, &newcomer.id).unwrap();
    let peer = newcomer.peer_id.clone();
    assert_eq!(device(&mut world, &newcomer.id), Ok(Reply::Device(peer)));
    let id = newcomer.id.clone();
    world.ask(operator(), Op::Revoke { id }).unwrap();
    assert_eq!(
        device(&mut world, &newcomer.id).unwrap_err().code,
        Code::Unauthorized
    );
}

#[test]
fn a_code_works_once() {
    let mut world = World::new();
    let code = invite(&mut world);
    redeem(&mut world, &code, "first").unwrap();
    let again = redeem(&mut world, &code, "second").unwrap_err();
    assert_eq!(again.code, Code::InviteInvalid);
}

#[test]
fn a_code_ends_with_its_time_even_across_a_restart() {
    let mut world = World::new();
    let code = invite(&mut world);
    world.restart();
    world.pass(INVITE_TTL_S * 1000);
    assert_eq!(
        redeem(&mut world, &code, "late").unwrap_err().code,
        Code::InviteInvalid
    );
    assert!(world.store.load().invites.is_empty());
}

#[test]
fn five_attempts_a_minute_and_address_good_or_bad() {
    let mut world = World::new();
    let code = invite(&mut world);
    for _ in 0..5 {
        let nameless = Newcomer {
            agent_name: " ".to_owned(),
            identity: None,
        };
        let refused = redeem_as(&mut world, "192.0.2.1", None, nameless);
        assert_eq!(refused.unwrap_err().code, Code::BadField);
    }
    assert_eq!(
        redeem(&mut world, &code, "x").unwrap_err().code,
        Code::RateLimited
    );
    world.pass(PAIR_WINDOW_S * 1000);
    redeem(&mut world, &code, "x").unwrap();
}

#[test]
fn a_newcomer_is_decided_on_once() {
    let mut world = World::new();
    let code = invite(&mut world);
    let id = redeem(&mut world, &code, "x").unwrap().id;
    world
        .ask(operator(), Op::Reject { id: id.clone() })
        .unwrap();
    assert_eq!(approve(&mut world, &id).unwrap_err().code, Code::NotFound);
    let revoke = Op::Revoke { id: id.clone() };
    assert_eq!(
        world.ask(operator(), revoke).unwrap_err().code,
        Code::NotFound
    );
    let list = |pending_only| Op::ListPairing { pending_only };
    assert_eq!(
        world.ask(operator(), list(true)),
        Ok(Reply::Newcomers(vec![]))
    );
    let Ok(Reply::Newcomers(all)) = world.ask(operator(), list(false)) else {
        panic!("no list");
    };
    assert_eq!(all[0].status, PairingStatus::Rejected);
}

#[test]
fn a_revoked_peer_is_cut_off_and_its_work_goes_on_elsewhere() {
    let mut world = World::new();
    let a = world.agent("a", &["s"]);
    world.submit(work("t", "s"));
    let b = world.agent("b", &["s"]);
    let peer = "p-a".parse().unwrap();
    world.ask(operator(), Op::CloseCaller { peer }).unwrap();
    assert_eq!(world.closed[&a].code, Code::Unauthorized);
    assert_eq!(world.assigned(b)[0].attempt, 2);
    assert_eq!(world.task("t").state, TaskState::Assigned);
}

#[test]
fn guessers_with_many_addresses_get_no_further_than_the_overall_limit() {
    let mut world = World::new();
    for n in 0..MAX_PAIR_ATTEMPTS_OVERALL {
        let address = format!("192.0.2.{}.{}", n / 5, n % 5);
        let guess = redeem_as(&mut world, &address, Some("guess"), with_key(1));
        assert_eq!(guess.unwrap_err().code, Code::InviteInvalid);
    }
    let one_more = redeem_as(&mut world, "198.51.100.1", Some("guess"), with_key(1));
    assert_eq!(one_more.unwrap_err().code, Code::RateLimited);
}

#[test]
fn a_join_token_lets_in_a_fleet_behind_one_address_and_no_more_than_it_says() {
    let mut world = World::new();
    let fleet = InviteTerms {
        uses: 8,
        join_token: true,
        ..terms()
    };
    let token = invite_with(&mut world, "fleet", fleet);
    for byte in 0..8 {
        let joined = redeem_as(&mut world, "192.0.2.1", Some(&token), with_key(byte));
        let (answer, join_token) = joined.unwrap();
        assert!(join_token);
        let certificate = certificate(&answer.peer_id, byte, 1);
        approve_with(&mut world, &answer.id, Some(certificate)).unwrap();
        if byte == 3 {
            world.restart();
        }
    }
    let one_more = redeem_as(&mut world, "192.0.2.1", Some(&token), with_key(9));
    assert_eq!(one_more.unwrap_err().code, Code::InviteInvalid);
}

#[test]
fn a_newcomer_with_a_key_is_approved_only_with_a_certificate_for_it() {
    let mut world = World::new();
    let code = invite(&mut world);
    let (paired, _) = redeem_as(&mut world, "192.0.2.1", Some(&code), with_key(1)).unwrap();
    let refused = approve_with(&mut world, &paired.id, None).unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    let foreign = certificate(&paired.peer_id, 2, 1);
    let refused = approve_with(&mut world, &paired.id, Some(foreign)).unwrap_err();
    assert_eq!(refused.code, Code::BadField);
    let certificate = certificate(&paired.peer_id, 1, 1);
    approve_with(&mut world, &paired.id, Some(certificate)).unwrap();
    let token_digest = "own digest 1".to_owned();
    let device = world.ask(operator(), Op::CheckDevice { token_digest });
    assert_eq!(device, Ok(Reply::Device(paired.peer_id)));
}

#[test]
fn a_peers_new_key_ends_its_old_one_with_the_approval() {
    let mut world = World::new();
    let code = invite(&mut world);
    let (old, _) = redeem_as(&mut world, "192.0.2.1", Some(&code), with_key(1)).unwrap();
    let peer = old.peer_id.clone();
    approve_with(&mut world, &old.id, Some(certificate(&peer, 1, 10))).unwrap();
    let rotates = InviteTerms {
        peer_id: Some(peer.clone()),
        ..terms()
    };
    let code = invite_with(&mut world, "another", rotates);
    let (new, _) = redeem_as(&mut world, "192.0.2.1", Some(&code), with_key(2)).unwrap();
    assert_eq!(new.peer_id, peer);
    let check = |byte| Op::CheckDevice {
        token_digest: format!("own digest {byte}"),
    };
    assert!(world.ask(operator(), check(1)).is_ok());
    let older = approve_with(&mut world, &new.id, Some(certificate(&peer, 2, 10)));
    assert_eq!(older.unwrap_err().code, Code::BadField);
    approve_with(&mut world, &new.id, Some(certificate(&peer, 2, 11))).unwrap();
    assert!(world.ask(operator(), check(1)).is_err());
    assert!(world.ask(operator(), check(2)).is_ok());
}
