//! Pairing: invites, newcomers, decisions.

use seamesh_proto::ids::REGISTRY_PEER;
use seamesh_proto::rest::{ApproveAnswer, Ok as Done, PairBody, Role};
use seamesh_proto::{Code, Problem};
use seamesh_registry_core::{Caller, Op, Reply};

use super::call::{Answer, Call, json};
use super::problem::Failure;
use crate::auth::hex;
use crate::secret;

pub(super) async fn create_invite(call: Call) -> Answer {
    match call.ask(Op::CreateInvite).await? {
        Reply::Invite(invite) => Ok(json(&invite)),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn redeem(call: Call) -> Answer {
    let PairBody { code, agent_name } = call.json()?;
    let op = Op::RedeemInvite {
        address: call.remote.ip().to_string(),
        code,
        agent_name,
    };
    // Anybody may redeem: the core looks at the code and the address only.
    let anybody = Caller {
        peer: REGISTRY_PEER
            .parse()
            .map_err(|_| Failure::new(Code::Internal, "the constant is no id"))?,
        role: Role::Agent,
    };
    match call.app.ask(anybody, op).await? {
        Reply::Paired(paired) => Ok(json(&paired)),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn list_pending(call: Call) -> Answer {
    list(call, true).await
}

pub(super) async fn list_all(call: Call) -> Answer {
    list(call, false).await
}

async fn list(call: Call, pending_only: bool) -> Answer {
    match call.ask(Op::ListPairing { pending_only }).await? {
        Reply::Newcomers(entries) => Ok(json(&entries)),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn approve(call: Call) -> Answer {
    let device_token = secret::random_text("dt_")
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let op = Op::Approve {
        id: call.param("id").to_owned(),
        token_digest: hex(&secret::hash(&device_token)),
    };
    match call.ask(op).await? {
        Reply::Newcomer(entry) => Ok(json(&ApproveAnswer {
            id: entry.id,
            status: entry.status,
            peer_id: entry.peer_id,
            device_token,
        })),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn reject(call: Call) -> Answer {
    let id = call.param("id").to_owned();
    call.ask(Op::Reject { id }).await?;
    Ok(json(&Done::default()))
}

pub(super) async fn revoke(call: Call) -> Answer {
    let id = call.param("id").to_owned();
    call.ask(Op::Revoke { id: id.clone() }).await?;
    call.app.credential_revoked(&format!("device-{id}"));
    Ok(json(&Done::default()))
}
