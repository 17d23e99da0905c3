//! REST operations: each finds its rule here, and its answer goes back under its request.

use seamesh_proto::rest::HeartbeatBody;
use seamesh_proto::{Code, Problem};

use crate::agents::unknown_agent;
use crate::dispatch::Core;
use crate::io::{Caller, Op, Reply, RequestId};
use crate::roster::Agent;
use crate::submit::Origin;

impl Core {
    /// Takes a request. Those that may have to ask the store or wait answer later; all others answer now.
    pub(crate) fn request(&mut self, request: RequestId, caller: Caller, op: Op) {
        match op {
            Op::SubmitTask(submit) => self.submit(Origin::Rest(request), &caller, *submit),
            Op::GetTask(id) => self.get_task(request, &id),
            Op::UpdateTask { task_id, update } => {
                self.update_task(request, caller, &task_id, *update);
            }
            Op::CancelTask(id) => self.rest_cancel(request, caller, &id),
            Op::AnswerTask { task_id, answer } => {
                self.rest_answer(request, caller, &task_id, answer);
            }
            Op::ReadChunks { task_id, read } => self.read_chunks(request, caller, &task_id, read),
            Op::WaitTask {
                task_id,
                timeout_ms,
            } => self.wait_task(request, &task_id, timeout_ms),
            op => {
                let result = self.answer(&caller, op);
                self.out.reply(request, result);
            }
        }
    }

    fn answer(&mut self, caller: &Caller, op: Op) -> Result<Reply, Problem> {
        match op {
            Op::RegisterAgent(info) => self.rest_register(caller, *info).map(|()| Reply::Done),
            Op::ListAgents => Ok(Reply::Agents(self.agents.records())),
            Op::GetAgent(id) => {
                let record = self.agents.get(&id).map(Agent::record);
                let record = record.ok_or_else(|| unknown_agent(&id))?;
                Ok(Reply::Agent(Box::new(record)))
            }
            Op::RemoveAgent(id) => self.rest_remove(caller, &id).map(|()| Reply::Done),
            Op::RouteSkill(skill) => {
                let record = self.route_skill(caller, &skill)?;
                Ok(Reply::Agent(Box::new(record)))
            }
            Op::Heartbeat(body) => self.answer_heartbeat(caller, &body),
            Op::Topology => Ok(Reply::Topology(self.topology())),
            Op::HubLive => Ok(Reply::HubLive {
                agents: self.agents.records(),
                links: self.links.edges(),
                newcomers: self.pairing.list(true),
            }),
            op => self.answer_pairing(op),
        }
    }

    fn answer_heartbeat(
        &mut self,
        caller: &Caller,
        body: &HeartbeatBody,
    ) -> Result<Reply, Problem> {
        self.rest_heartbeat(caller, body).map(Reply::Heartbeat)
    }

    fn answer_pairing(&mut self, op: Op) -> Result<Reply, Problem> {
        match op {
            Op::CreateInvite { digest, terms } => {
                self.create_invite(digest, terms).map(|()| Reply::Done)
            }
            Op::RedeemInvite {
                address,
                digest,
                newcomer,
            } => {
                let paired = self.redeem(&address, digest.as_deref(), newcomer);
                paired.map(|(answer, join_token)| Reply::Paired { answer, join_token })
            }
            Op::ListPairing { pending_only } => {
                Ok(Reply::Newcomers(self.pairing.list(pending_only)))
            }
            Op::Approve {
                id,
                token_digest,
                certificate,
            } => self
                .approve(&id, token_digest, certificate)
                .map(Reply::Newcomer),
            Op::Reject { id } => self.reject(&id).map(|()| Reply::Done),
            Op::Revoke { id } => self.revoke_newcomer(&id).map(|()| Reply::Done),
            Op::CheckDevice { token_digest } => {
                let device = self.pairing.device(&token_digest);
                let device = device.map(|n| Reply::Device(n.peer_id.clone()));
                device.ok_or_else(|| Problem::new(Code::Unauthorized, "unknown device token"))
            }
            Op::CloseCaller { peer } => {
                self.close_caller(&peer);
                Ok(Reply::Done)
            }
            // `request` and `answer` took every other operation.
            _ => Err(Problem::new(Code::Internal, "the operation has no rule")),
        }
    }
}
