//! How newcomers join: an invite's code, redeemed once within limits, then an admin's decision. And how access ends.

use std::collections::{BTreeMap, VecDeque};

use rand_chacha::rand_core::RngCore;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::identity::Certificate;
use seamesh_proto::invite::InviteError;
use seamesh_proto::limits::{MAX_PAIR_ATTEMPTS, MAX_PAIR_ATTEMPTS_OVERALL, PAIR_WINDOW_S};
use seamesh_proto::rest::{OnboardingEntry, PairAnswer, PairingStatus};
use seamesh_proto::signaling::{RegistrySignal, RevokedPeer};
use seamesh_proto::{Code, Now, PeerId, Problem};

use crate::dispatch::Core;
use crate::io::{InviteTerms, Newcomer, Note};
use crate::leases::Lapsed;
use crate::limits::{MAX_INVITES, MAX_NAME_BYTES, MAX_PAIR_ADDRESSES, MAX_WAITING_NEWCOMERS};
use crate::store::{StoredInvite, StoredNewcomer, Write};
use crate::submit::hex;
use crate::timers::Timer;

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
        let overall: usize = self.attempts.values().map(VecDeque::len).sum();
        if overall >= MAX_PAIR_ATTEMPTS_OVERALL {
            return false;
        }
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

    /// Takes back the last attempt of an address.
    fn forgive(&mut self, address: &str) {
        if let Some(tries) = self.attempts.get_mut(address) {
            tries.pop_back();
        }
    }

    /// The largest serial of a peer's certificates, and its entries that are approved now.
    fn before(&self, peer: &PeerId) -> (u64, Vec<String>) {
        let of_peer = self.newcomers.values().filter(|n| n.peer_id == *peer);
        let serials = of_peer.clone().filter_map(|n| n.certificate.as_ref());
        let approved = of_peer.filter(|n| n.status == PairingStatus::Approved);
        let last = serials.map(|c| c.serial).max().unwrap_or(0);
        (last, approved.map(|n| n.id.clone()).collect())
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
            key: self.key,
            status: self.status,
            created_at: Now(self.created_ms).seconds(),
            updated_at: Now(self.updated_ms).seconds(),
        }
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let bad = |detail: &str| Err(Problem::new(Code::BadField, detail));
    if name.is_empty() {
        return bad("agent_name is required");
    }
    if name.len() > MAX_NAME_BYTES {
        return bad("agent_name has at most 128 bytes");
    }
    Ok(())
}

/// Whether the root key's word is about this newcomer, and newer than what it said of the peer before.
fn check_certificate(
    newcomer: &StoredNewcomer,
    certificate: Option<&Certificate>,
    last_serial: u64,
) -> Result<(), Problem> {
    match (&newcomer.key, certificate) {
        (None, None) => Ok(()),
        (Some(key), Some(c))
            if c.key == *key && c.peer_id == newcomer.peer_id && c.serial > last_serial =>
        {
            Ok(())
        }
        (Some(_), None) => {
            let detail = "the mesh's root key is not here; approve with `seamesh approve --root-key FILE`, where it is";
            Err(Problem::new(Code::Conflict, detail))
        }
        _ => {
            let detail =
                "the certificate is not for this newcomer's key, or older than the peer's last";
            Err(Problem::new(Code::BadField, detail))
        }
    }
}

impl Core {
    pub(crate) fn create_invite(
        &mut self,
        digest: String,
        terms: InviteTerms,
    ) -> Result<(), Problem> {
        if self.pairing.invites.len() >= MAX_INVITES {
            let detail = format!("{MAX_INVITES} invites are open already");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        let invite = StoredInvite {
            digest: digest.clone(),
            version: 1,
            expires_ms: self.now.plus(terms.ttl_s * 1000).0,
            uses: terms.uses,
            join_token: terms.join_token,
            peer_id: terms.peer_id,
        };
        let until = Now(invite.expires_ms);
        self.timers.set(Timer::Invite(digest.clone()), until);
        self.pairing.invites.insert(digest, invite.clone());
        self.out.write(Write::PutInvite {
            expected: 0,
            invite,
        });
        Ok(())
    }

    /// An invite is used up, or its time is over.
    pub(crate) fn drop_invite(&mut self, digest: &str) {
        if let Some(invite) = self.pairing.invites.remove(digest) {
            self.timers.cancel(&Timer::Invite(digest.to_owned()));
            self.out.write(Write::DeleteInvite {
                expected: invite.version,
                digest: invite.digest,
            });
        }
    }

    /// One newcomer fewer may come by this invite.
    fn use_invite(&mut self, digest: &str) {
        match self.pairing.invites.get_mut(digest) {
            Some(invite) if invite.uses > 1 => {
                let expected = invite.version;
                invite.version += 1;
                invite.uses -= 1;
                let invite = invite.clone();
                self.out.write(Write::PutInvite { expected, invite });
            }
            _ => self.drop_invite(digest),
        }
    }

    /// Redeems an invite: the newcomer then waits for an admin, or, by a join token (`true`), for its certificate.
    pub(crate) fn redeem(
        &mut self,
        address: &str,
        digest: Option<&str>,
        mut newcomer: Newcomer,
    ) -> Result<(PairAnswer, bool), Problem> {
        if !self.pairing.may_try(address, self.now) {
            self.out.note(Note::PairingLimited);
            let detail = "too many pairing attempts, try again later";
            return Err(Problem::new(Code::RateLimited, detail));
        }
        let digest = digest.ok_or_else(|| Problem::new(Code::BadField, InviteError.to_string()))?;
        newcomer.agent_name = newcomer.agent_name.trim().to_owned();
        check_name(&newcomer.agent_name)?;
        let Some(invite) = self.pairing.invites.get(digest).cloned() else {
            let detail = "invalid or expired pairing code";
            return Err(Problem::new(Code::InviteInvalid, detail));
        };
        if newcomer.identity.is_none() && (invite.join_token || invite.peer_id.is_some()) {
            let detail = "identity is required with this invite; use `seamesh pair`";
            return Err(Problem::new(Code::BadField, detail));
        }
        if self.pairing.waiting() >= MAX_WAITING_NEWCOMERS {
            let detail = format!("{MAX_WAITING_NEWCOMERS} newcomers wait for approval already");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        if invite.join_token {
            // A fleet behind one address is no guesser.
            self.pairing.forgive(address);
        }
        self.use_invite(digest);
        let answer = self.add_newcomer(newcomer, invite.peer_id);
        Ok((answer, invite.join_token))
    }

    fn add_newcomer(&mut self, newcomer: Newcomer, peer_id: Option<PeerId>) -> PairAnswer {
        let (id, fresh) = self.unused_names();
        let peer_id = peer_id.unwrap_or(fresh);
        let (key, token_digest) = newcomer.identity.unzip();
        let newcomer = StoredNewcomer {
            id: id.clone(),
            agent_name: newcomer.agent_name,
            peer_id: peer_id.clone(),
            status: PairingStatus::PendingApproval,
            token_digest,
            key,
            certificate: None,
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
            let newcomer = Box::new(newcomer.clone());
            self.out.event(MeshEvent::PairingChanged(newcomer.entry()));
            self.out.write(Write::PutNewcomer { expected, newcomer });
        }
    }

    /// The newcomer, if it stands where it must for what is to happen.
    fn newcomer_in(
        &mut self,
        id: &str,
        status: PairingStatus,
    ) -> Result<&mut StoredNewcomer, Problem> {
        let newcomer = self.pairing.newcomers.get_mut(id);
        newcomer.filter(|n| n.status == status).ok_or_else(|| {
            let what = match status {
                PairingStatus::Approved => "not found or not approved",
                _ => "not found or not pending",
            };
            Problem::new(Code::NotFound, what)
        })
    }

    pub(crate) fn approve(
        &mut self,
        id: &str,
        token_digest: String,
        certificate: Option<Certificate>,
    ) -> Result<OnboardingEntry, Problem> {
        let newcomer = self.newcomer_in(id, PairingStatus::PendingApproval)?;
        let peer = newcomer.peer_id.clone();
        let (last_serial, replaced) = self.pairing.before(&peer);
        let newcomer = self.newcomer_in(id, PairingStatus::PendingApproval)?;
        check_certificate(newcomer, certificate.as_ref(), last_serial)?;
        newcomer.status = PairingStatus::Approved;
        newcomer.token_digest.get_or_insert(token_digest);
        newcomer.certificate = certificate;
        let entry = newcomer.entry();
        self.write_newcomer(id);
        // The peer has a new key: what it had before is worth nothing any more.
        for old in replaced {
            self.set_status(&old, PairingStatus::Revoked);
            self.close_caller(&peer);
        }
        Ok(entry)
    }

    fn set_status(&mut self, id: &str, status: PairingStatus) {
        if let Some(newcomer) = self.pairing.newcomers.get_mut(id) {
            newcomer.status = status;
            self.write_newcomer(id);
        }
    }

    pub(crate) fn reject(&mut self, id: &str) -> Result<(), Problem> {
        self.newcomer_in(id, PairingStatus::PendingApproval)?;
        self.set_status(id, PairingStatus::Rejected);
        Ok(())
    }

    pub(crate) fn revoke_newcomer(&mut self, id: &str) -> Result<(), Problem> {
        let peer = self
            .newcomer_in(id, PairingStatus::Approved)?
            .peer_id
            .clone();
        self.set_status(id, PairingStatus::Revoked);
        self.close_caller(&peer);
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
        let revoked = RegistrySignal::PeerRevoked(RevokedPeer {
            peer_id: peer.clone(),
        });
        self.out.send(self.relay.natives(), &revoked);
    }
}
