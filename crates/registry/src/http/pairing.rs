//! Pairing: invites, newcomers, decisions.

use std::time::Duration;

use seamesh_identity::verify;
use seamesh_proto::identity::{Certificate, pair_statement};
use seamesh_proto::ids::REGISTRY_PEER;
use seamesh_proto::invite::{Invite, secret_of};
use seamesh_proto::limits::{INVITE_TTL_S, MAX_INVITE_TTL_S, MAX_INVITE_USES};
use seamesh_proto::rest::{
    ApproveAnswer, CertifyBody, IdentityAnswer, IdentityBody, InviteAnswer, InviteBody,
    NewcomerIdentity, Ok as Done, OnboardingEntry, PairBody, PairingStatus, Role, StatusAnswer,
    StatusQuery,
};
use seamesh_proto::{Code, PeerId, Problem};
use seamesh_registry_core::limits::MAX_WAIT_MS;
use seamesh_registry_core::{Caller, InviteTerms, Newcomer, Op, Reply};

use super::call::{Answer, Call, json};
use super::problem::Failure;
use crate::audit::Action;
use crate::auth::hex;
use crate::secret;

pub(super) async fn create_invite(call: Call) -> Answer {
    make(&call, InviteBody::default()).await
}

pub(super) async fn make_invite(call: Call) -> Answer {
    let body = call.json()?;
    make(&call, body).await
}

async fn make(call: &Call, body: InviteBody) -> Answer {
    let terms = terms(&body)?;
    let root = &call.app.root;
    if body.join_token && !root.is_here() {
        return Err(root_is_elsewhere());
    }
    let made = match body.join_token {
        true => root.join_token(),
        false => root.code(),
    };
    let invite = made.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let expires_in = terms.ttl_s;
    let digest = digest(invite.secret());
    let kind = if terms.join_token {
        "join token"
    } else {
        "invite"
    };
    let detail = format!("{kind}, {} uses, {expires_in} s", terms.uses);
    let about = terms.peer_id.as_ref().map_or("", PeerId::as_str);
    let entry = call.entry(Action::InviteMade, about, detail);
    call.decide(Op::CreateInvite { digest, terms }, entry)
        .await?;
    Ok(json(&InviteAnswer {
        code: Invite::to_string(&invite),
        expires_in,
    }))
}

fn terms(body: &InviteBody) -> Result<InviteTerms, Failure> {
    let bad = |detail: String| Err(Failure::new(Code::BadField, detail));
    let ttl_s = body.ttl_s.unwrap_or(INVITE_TTL_S);
    if !(1..=MAX_INVITE_TTL_S).contains(&ttl_s) {
        return bad(format!("ttl_s is 1 to {MAX_INVITE_TTL_S}"));
    }
    let uses = body.uses.unwrap_or(1);
    let most = if body.join_token { MAX_INVITE_USES } else { 1 };
    if !(1..=most).contains(&uses) {
        return bad(format!(
            "uses is 1 to {most} (more than 1 for a join token only)"
        ));
    }
    if body.peer_id.is_some() && uses != 1 {
        return bad("a peer's new key is for one newcomer: leave out `uses`".to_owned());
    }
    let peer_id = body.peer_id.clone();
    if peer_id
        .as_ref()
        .is_some_and(|p| p.as_str() == REGISTRY_PEER)
    {
        return bad("peer_id: `registry` is the registry's own".to_owned());
    }
    Ok(InviteTerms {
        ttl_s,
        uses,
        join_token: body.join_token,
        peer_id,
    })
}

fn digest(text: &str) -> String {
    hex(&secret::hash(text))
}

fn root_is_elsewhere() -> Failure {
    let detail = "this mesh's root key is kept off the registry: whoever has it approves with `seamesh approve \
                  --root-key FILE`";
    Failure::new(Code::Conflict, detail)
}

pub(super) async fn redeem(call: Call) -> Answer {
    let body: PairBody = call.json()?;
    let identity = body.identity.as_ref();
    if let Some(identity) = identity {
        check_identity(&body.agent_name, identity)?;
    }
    let op = Op::RedeemInvite {
        address: call.remote.ip().to_string(),
        digest: secret_of(&body.code).map(|secret| digest(&secret)),
        newcomer: Newcomer {
            agent_name: body.agent_name.clone(),
            identity: identity.map(|i| (i.key, i.token_digest.clone())),
        },
    };
    match redeem_recorded(&call, op).await? {
        Reply::Paired {
            mut answer,
            join_token,
        } => {
            if join_token {
                let entry = entry(&call, &answer.id).await?;
                let approved = approve_as(&call, registry_itself()?, entry, None).await?;
                answer.status = approved.status;
            }
            Ok(json(&answer))
        }
        other => Err(Failure::unexpected(&other)),
    }
}

/// Redeems, and records what came of it.
async fn redeem_recorded(call: &Call, op: Op) -> Result<Reply, Failure> {
    let redeemed = call.entry(Action::InviteRedeemed, "", "");
    let decided = call.app.decide(registry_itself()?, op, redeemed).await;
    let refused = |problem: &Problem| problem.code == Code::InviteInvalid;
    if decided.as_ref().is_err_and(refused) {
        let refused = call.entry(Action::InviteRefused, "", "no such code, or no longer");
        call.record(refused).await?;
    }
    Ok(decided?)
}

/// Anybody may redeem: the core looks at the code and the address only.
fn registry_itself() -> Result<Caller, Failure> {
    Ok(Caller {
        peer: REGISTRY_PEER
            .parse()
            .map_err(|_| Failure::new(Code::Internal, "the constant is no id"))?,
        role: Role::Agent,
    })
}

fn check_identity(agent_name: &str, identity: &NewcomerIdentity) -> Result<(), Failure> {
    let bad = |detail| Err(Failure::new(Code::BadField, detail));
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let digest = &identity.token_digest;
    if digest.len() != 64 || !digest.bytes().all(is_digit) {
        return bad("identity.token_digest: expected 64 lower-case hexadecimal digits");
    }
    let statement = pair_statement(agent_name, digest);
    if !verify(&identity.key, &statement, &identity.signature) {
        let detail = "identity.signature: not by the key it names";
        return Err(Failure::new(Code::IdentityInvalid, detail));
    }
    Ok(())
}

pub(super) async fn status(call: Call) -> Answer {
    let query: StatusQuery = call.query()?;
    let unknown = || {
        Failure::new(
            Code::Unauthorized,
            "send the device token of this entry (x-device-token)",
        )
    };
    let digest = digest(call.header("x-device-token").ok_or_else(unknown)?);
    let mut changes = call.app.devices.changes();
    let wait = Duration::from_millis(query.timeout_ms.unwrap_or(0).min(MAX_WAIT_MS));
    let mut over = std::pin::pin!(tokio::time::sleep(wait));
    loop {
        let known = call.app.devices.newcomer(&digest);
        let device = known.filter(|d| d.id == call.param("id"));
        let device = device.ok_or_else(unknown)?;
        let answer = StatusAnswer {
            status: device.status,
            peer_id: device.peer_id.clone(),
            root: call.app.root.public(),
            certificate: device.certificate.clone(),
        };
        if answer.status != PairingStatus::PendingApproval || over.is_elapsed() {
            return Ok(json(&answer));
        }
        tokio::select! {
            // The sender lives as long as the registry.
            _ = changes.changed() => {}
            () = &mut over => return Ok(json(&answer)),
            () = call.app.stopped() => return Ok(json(&answer)),
        }
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

async fn entry(call: &Call, id: &str) -> Result<OnboardingEntry, Failure> {
    let op = Op::ListPairing { pending_only: true };
    match call.app.ask(registry_itself()?, op).await? {
        Reply::Newcomers(entries) => {
            let found = entries.into_iter().find(|entry| entry.id == id);
            found.ok_or_else(|| Failure::new(Code::NotFound, "not found or not pending"))
        }
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn approve(call: Call) -> Answer {
    let entry = entry(&call, call.param("id")).await?;
    let caller = call.principal()?.caller();
    Ok(json(&approve_as(&call, caller, entry, None).await?))
}

pub(super) async fn certify(call: Call) -> Answer {
    let CertifyBody { certificate } = call.json()?;
    call.app.root.check(&certificate)?;
    let entry = entry(&call, call.param("id")).await?;
    let caller = call.principal()?.caller();
    let approved = approve_as(&call, caller, entry, Some(certificate)).await?;
    Ok(json(&approved))
}

/// Lets a newcomer in. Its key is signed here, where the root key is here and nobody brought a certificate.
async fn approve_as(
    call: &Call,
    caller: Caller,
    entry: OnboardingEntry,
    certificate: Option<Certificate>,
) -> Result<ApproveAnswer, Failure> {
    let (app, now) = (&call.app, call.app.clock.now());
    let certificate = certificate.or_else(|| app.root.certify(&entry.peer_id, entry.key?, now));
    let device_token = secret::random_text("dt_")
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let detail = format!("as {}", entry.peer_id);
    let mut decision = call.entry(Action::NewcomerApproved, &entry.id, detail);
    if call.principal.is_none() {
        decision.by = caller.peer.to_string();
        decision.detail.push_str(", by its join token");
    }
    let op = Op::Approve {
        id: entry.id,
        token_digest: digest(&device_token),
        certificate,
    };
    match app.decide(caller, op, decision).await? {
        Reply::Newcomer(entry) => Ok(ApproveAnswer {
            id: entry.id,
            status: entry.status,
            peer_id: entry.peer_id,
            // A newcomer with a key made its own token: this one is good for nothing.
            device_token: entry.key.is_none().then_some(device_token),
        }),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn certify_key(call: Call) -> Answer {
    let IdentityBody { peer_id, key } = call.json()?;
    let now = call.app.clock.now();
    let certificate = call.app.root.certify(&peer_id, key, now);
    if certificate.is_some() {
        let entry = call.entry(Action::IdentitySigned, peer_id.as_str(), key.short());
        call.record(entry).await?;
    }
    tracing::info!(%peer_id, "signed an identity key");
    Ok(json(&IdentityAnswer {
        root: call.app.root.public(),
        certificate: certificate.ok_or_else(root_is_elsewhere)?,
    }))
}

pub(super) async fn reject(call: Call) -> Answer {
    let id = call.param("id").to_owned();
    let entry = call.entry(Action::NewcomerRejected, &id, "");
    call.decide(Op::Reject { id }, entry).await?;
    Ok(json(&Done::default()))
}

pub(super) async fn revoke(call: Call) -> Answer {
    let id = call.param("id").to_owned();
    let entry = call.entry(Action::NewcomerRevoked, &id, "");
    call.decide(Op::Revoke { id: id.clone() }, entry).await?;
    call.app.credential_revoked(&format!("device-{id}"));
    Ok(json(&Done::default()))
}
