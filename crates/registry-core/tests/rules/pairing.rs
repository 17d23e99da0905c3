use seamesh_proto::limits::{INVITE_TTL_S, PAIR_WINDOW_S};
use seamesh_proto::rest::{PairAnswer, PairingStatus};
use seamesh_proto::{Code, Problem, TaskState};
use seamesh_registry_core::{Op, Reply};

use crate::world::{World, operator, work};

fn invite(world: &mut World) -> String {
    match world.ask(operator(), Op::CreateInvite) {
        Ok(Reply::Invite(invite)) => invite.code,
        other => panic!("no invite: {other:?}"),
    }
}

fn redeem(world: &mut World, code: &str, name: &str) -> Result<PairAnswer, Problem> {
    let op = Op::RedeemInvite {
        address: "192.0.2.1".to_owned(),
        code: code.to_owned(),
        agent_name: name.to_owned(),
    };
    world.ask(operator(), op).map(|reply| match reply {
        Reply::Paired(answer) => answer,
        other => panic!("{other:?}"),
    })
}

fn approve(world: &mut World, entry: &str) -> Result<Reply, Problem> {
    let op = Op::Approve {
        id: entry.to_owned(),
        token_digest: format!("digest of {entry}"),
    };
    world.ask(operator(), op)
}

fn device(world: &mut World, entry: &str) -> Result<Reply, Problem> {
    let token_digest = format!("digest of {entry}");
    world.ask(operator(), Op::CheckDevice { token_digest })
}

#[test]
fn a_newcomer_is_let_in_by_its_code_and_an_approval_and_out_by_a_revocation() {
    let mut world = World::new();
    let code = invite(&mut world);
    assert_eq!(code.len(), 6);
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
    for bad in ["12345", "abcdef", "1234567", "", "12 456"] {
        assert_eq!(
            redeem(&mut world, bad, "x").unwrap_err().code,
            Code::BadField
        );
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
