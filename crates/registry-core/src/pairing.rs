//! How newcomers join: an invite's code, redeemed once within limits, then an admin's decision. And how access ends.

use std::collections::{BTreeMap, VecDeque};

use rand_chacha::rand_core::RngCore;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::limits::{INVITE_TTL_S, MAX_PAIR_ATTEMPTS, PAIR_WINDOW_S};
use seamesh_proto::rest::{InviteAnswer, OnboardingEntry, PairAnswer, PairingStatus};
use seamesh_proto::{Code, Now, PeerId, Problem};

use crate::dispatch::Core;
use crate::io::Note;
use crate::leases::Lapsed;
use crate::limits::{MAX_INVITES, MAX_NAME_BYTES, MAX_PAIR_ADDRESSES, MAX_WAITING_NEWCOMERS};
use crate::store::{StoredInvite, StoredNewcomer, Write};
use crate::submit::hex;
use crate::timers::Timer;

/// Digits of an invite's code, as existing clients check.
const CODE_DIGITS: usize = 6;

/// Invites, newcomers, and who tried how often.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    pub(crate) invites: BTreeMap<String, StoredInvite>,
    pub(crate) newcomers: BTreeMap<String, StoredNewcomer>,
    attempts: BTreeMap<String, VecDeque<Now>>,
}

impl Pairing {
    /// Counts an attempt, good or bad. `false`: the address has used its attempts up.
    fn may_try(&mut self, address: &str, now: Now) -> bool {
        let window_ms = PAIR_WINDOW_S * 1000;
        self.attempts.retain(|_, tries| {
            tries.retain(|at| now.since(*at) < window_ms);
            !tries.is_empty()
        });
        if !self.attempts.contains_key(address) && self.attempts.len() >= MAX_PAIR_ADDRESSES {
            return false;
        }
        let tries = self.attempts.entry(address.to_owned()).or_default();
        if tries.len() >= MAX_PAIR_ATTEMPTS {
            return false;
        }
        tries.push_back(now);
        true
    }

    fn waiting(&self) -> usize {
        let waits = |n: &&StoredNewcomer| n.status == PairingStatus::PendingApproval;
        self.newcomers.values().filter(waits).count()
    }

    /// The approved newcomer whose device token has this digest.
    pub(crate) fn device(&self, digest: &str) -> Option<&StoredNewcomer> {
        self.newcomers.values().find(|n| {
            n.status == PairingStatus::Approved && n.token_digest.as_deref() == Some(digest)
        })
    }

    /// Newcomers, oldest first.
    pub(crate) fn list(&self, pending_only: bool) -> Vec<OnboardingEntry> {
        let mut listed: Vec<&StoredNewcomer> = self
            .newcomers
            .values()
            .filter(|n| !pending_only || n.status == PairingStatus::PendingApproval)
            .collect();
        listed.sort_by_key(|n| (n.created_ms, &n.id));
        listed.into_iter().map(StoredNewcomer::entry).collect()
    }
}

impl StoredNewcomer {
    /// The newcomer as it is listed: without its token's digest.
    pub fn entry(&self) -> OnboardingEntry {
        OnboardingEntry {
            id: self.id.clone(),
            agent_name: self.agent_name.clone(),
            peer_id: self.peer_id.clone(),
            status: self.status,
            created_at: Now(self.created_ms).seconds(),
            updated_at: Now(self.updated_ms).seconds(),
        }
    }
}

fn check_redeem(code: &str, name: &str) -> Result<(), Problem> {
    let bad = |detail: &str| Err(Problem::new(Code::BadField, detail));
    if code.len() != CODE_DIGITS || !code.bytes().all(|b| b.is_ascii_digit()) {
        return bad("code must be exactly 6 digits");
    }
    if name.is_empty() {
        return bad("agent_name is required");
    }
    if name.len() > MAX_NAME_BYTES {
        return bad("agent_name has at most 128 bytes");
    }
    Ok(())
}

impl Core {
    pub(crate) fn create_invite(&mut self) -> Result<InviteAnswer, Problem> {
        if self.pairing.invites.len() >= MAX_INVITES {
            let detail = format!("{MAX_INVITES} invites are open already");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        let code = self.unused_code();
        let invite = StoredInvite {
            code: code.clone(),
            version: 1,
            expires_ms: self.now.plus(INVITE_TTL_S * 1000).0,
        };
        let until = Now(invite.expires_ms);
        self.timers.set(Timer::Invite(code.clone()), until);
        self.pairing.invites.insert(code.clone(), invite.clone());
        self.out.write(Write::PutInvite {
            expected: 0,
            invite,
        });
        Ok(InviteAnswer {
            code,
            expires_in: INVITE_TTL_S,
        })
    }

    fn unused_code(&mut self) -> String {
        // At most a thousandth of the codes is in use, so this ends soon. The bias of the remainder is below 2^-40.
        loop {
            let code = format!("{:06}", self.rng.next_u64() % 1_000_000);
            if !self.pairing.invites.contains_key(&code) {
                return code;
            }
        }
    }

    /// An invite is used up, or its time is over.
    pub(crate) fn drop_invite(&mut self, code: &str) {
        if let Some(invite) = self.pairing.invites.remove(code) {
            self.timers.cancel(&Timer::Invite(code.to_owned()));
            self.out.write(Write::DeleteInvite {
                expected: invite.version,
                code: invite.code,
            });
        }
    }

    /// Redeems an invite: the newcomer then waits for an admin.
    pub(crate) fn redeem(
        &mut self,
        address: &str,
        code: &str,
        agent_name: &str,
    ) -> Result<PairAnswer, Problem> {
        if !self.pairing.may_try(address, self.now) {
            self.out.note(Note::PairingLimited);
            let detail = "too many pairing attempts, try again later";
            return Err(Problem::new(Code::RateLimited, detail));
        }
        let agent_name = agent_name.trim();
        check_redeem(code, agent_name)?;
        if !self.pairing.invites.contains_key(code) {
            let detail = "invalid or expired pairing code";
            return Err(Problem::new(Code::InviteInvalid, detail));
        }
        if self.pairing.waiting() >= MAX_WAITING_NEWCOMERS {
            let detail = format!("{MAX_WAITING_NEWCOMERS} newcomers wait for approval already");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        self.drop_invite(code);
        Ok(self.add_newcomer(agent_name))
    }

    fn add_newcomer(&mut self, agent_name: &str) -> PairAnswer {
        let (id, peer_id) = self.unused_names();
        let newcomer = StoredNewcomer {
            id: id.clone(),
            agent_name: agent_name.to_owned(),
            peer_id: peer_id.clone(),
            status: PairingStatus::PendingApproval,
            token_digest: None,
            version: 0,
            created_ms: self.now.0,
            updated_ms: self.now.0,
        };
        self.pairing.newcomers.insert(id.clone(), newcomer);
        self.write_newcomer(&id);
        PairAnswer {
            id,
            status: PairingStatus::PendingApproval,
            peer_id,
        }
    }

    fn unused_names(&mut self) -> (String, PeerId) {
        loop {
            let mut bytes = [0u8; 7];
            self.rng.fill_bytes(&mut bytes);
            let id = hex(&bytes[..4]);
            let peer = format!("agent-{}", hex(&bytes[4..]));
            let mut taken = self.pairing.newcomers.values();
            if taken.any(|n| n.id == id || n.peer_id.as_str() == peer) {
                continue;
            }
            if let Ok(peer_id) = peer.parse() {
                return (id, peer_id);
            }
        }
    }

    fn write_newcomer(&mut self, id: &str) {
        let now = self.now.0;
        if let Some(newcomer) = self.pairing.newcomers.get_mut(id) {
            let expected = newcomer.version;
            newcomer.version += 1;
            newcomer.updated_ms = now;
            let newcomer = newcomer.clone();
            self.out.event(MeshEvent::PairingChanged(newcomer.entry()));
            self.out.write(Write::PutNewcomer { expected, newcomer });
        }
    }

    /// Moves a newcomer from one status to the next.
    fn decide(
        &mut self,
        id: &str,
        from: PairingStatus,
        to: PairingStatus,
        token_digest: Option<String>,
    ) -> Result<OnboardingEntry, Problem> {
        let newcomer = self.pairing.newcomers.get_mut(id);
        let Some(newcomer) = newcomer.filter(|n| n.status == from) else {
            let what = match from {
                PairingStatus::Approved => "not found or not approved",
                _ => "not found or not pending",
            };
            return Err(Problem::new(Code::NotFound, what));
        };
        newcomer.status = to;
        newcomer.token_digest = token_digest;
        let entry = newcomer.entry();
        self.write_newcomer(id);
        Ok(entry)
    }

    pub(crate) fn approve(
        &mut self,
        id: &str,
        token_digest: String,
    ) -> Result<OnboardingEntry, Problem> {
        let (from, to) = (PairingStatus::PendingApproval, PairingStatus::Approved);
        self.decide(id, from, to, Some(token_digest))
    }

    pub(crate) fn reject(&mut self, id: &str) -> Result<(), Problem> {
        let (from, to) = (PairingStatus::PendingApproval, PairingStatus::Rejected);
        self.decide(id, from, to, None).map(|_| ())
    }

    pub(crate) fn revoke_newcomer(&mut self, id: &str) -> Result<(), Problem> {
        let (from, to) = (PairingStatus::Approved, PairingStatus::Revoked);
        let entry = self.decide(id, from, to, None)?;
        self.close_caller(&entry.peer_id);
        Ok(())
    }

    /// A peer's credential is worth nothing any more: its sockets are closed and its work moves on at once.
    pub(crate) fn close_caller(&mut self, peer: &PeerId) {
        let problem = Problem::new(Code::Unauthorized, "this credential was revoked");
        for conn in self.relay.of_peer(peer) {
            self.disconnected(conn);
            self.out.close(conn, problem.clone());
        }
        for id in self.agents.owned(peer) {
            self.timers.cancel(&Timer::Grace(id.clone()));
            self.set_away(&id);
            self.lapse_all_of(&id, Lapsed::Gone, false);
        }
        self.forget_links(peer);
    }
}
