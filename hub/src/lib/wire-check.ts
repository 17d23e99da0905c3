// The checks of the messages the hub receives, bound to the generated types: a field that the wire gains is a compile
// error here until it is checked.

import {
  type AgentHealth,
  type AgentRecord,
  type AgentRef,
  type Allowance,
  type ApproveAnswer,
  type ArtifactPart,
  type AuditPage,
  type AuditRecord,
  type Capabilities,
  type Chunk,
  type ChunkPage,
  CODES,
  type Code,
  type EventRecord,
  type Fault,
  type Health,
  type HealthAnswer,
  type Hop,
  type HubState,
  type IceConfig,
  type IceServer,
  type InviteAnswer,
  type KeyAnswer,
  type KeyRecord,
  type LinkChange,
  type MeshEdge,
  type MeshEvent,
  type Ok,
  type OnboardingEntry,
  type PairingStatus,
  type Path,
  type Problem,
  type Progress,
  type Question,
  type Retry,
  type Role,
  type SessionAnswer,
  type SessionRecord,
  type Settings,
  type SkillInfo,
  type StaleResult,
  type SubmitAnswer,
  type Task,
  type TaskHistory,
  type TaskPage,
  type TaskState,
  type TlsKind,
} from "../generated/wire";
import {
  anything,
  type Check,
  count,
  id,
  isObject,
  listOf,
  object,
  oneOf,
  orAbsent,
  orNull,
  parseJson,
  publicKey,
  real,
  text,
  traceparent,
  WireError,
  whole,
  yesOrNo,
} from "./check";

const I32 = 0x7fff_ffff;
const U16 = 0xffff;
const U32 = 0xffff_ffff;

const health = oneOf<Health>({ active: true, stale: true, offline: true });
const role = oneOf<Role>({ agent: true, viewer: true, operator: true, admin: true });
const path = oneOf<Path>({ direct: true, queue: true });
const fault = oneOf<Fault>({ caller: true, callee: true, mesh: true, network: true });
const retry = oneOf<Retry>({ never: true, later: true });
const pairingStatus = oneOf<PairingStatus>({
  pending_approval: true,
  approved: true,
  rejected: true,
  revoked: true,
});
const taskState = oneOf<TaskState>({
  pending: true,
  assigned: true,
  input_required: true,
  completed: true,
  failed: true,
  canceled: true,
});
const code = oneOf<Code>(CODES);

const skill = object<SkillInfo>({
  name: text,
  description: orAbsent(text),
  input_schema: orNull(anything),
  callers: orNull(listOf(id)),
});

const hop = object<Hop>({ agent_id: id, skill: text });

const capabilities = object<Capabilities>({
  skills: orAbsent(listOf(text)),
  mcp_servers: orAbsent(listOf(text)),
  goals_count: orAbsent(count(U32)),
  mode: orAbsent(text),
});

const agentRecord = object<AgentRecord>({
  agent_id: id,
  hostname: text,
  ip: orAbsent(text),
  port: orAbsent(count(U16)),
  sidecar_peer_id: orAbsent(text),
  capabilities: orAbsent(capabilities),
  status: orAbsent(text),
  mode: orAbsent(text),
  description: orAbsent(text),
  skills: orAbsent(listOf(skill)),
  version: orAbsent(text),
  instance: orAbsent(text),
  max_concurrent: orAbsent(count(U32)),
  health,
  registered_at: text,
  last_heartbeat: text,
  tasks_in_flight: orAbsent(count(U32)),
});

const task = object<Task>({
  id,
  skill: text,
  target_agent_id: text,
  source_agent_id: text,
  assigned_agent_id: text,
  payload: orAbsent(anything),
  state: taskState,
  result: orAbsent(anything),
  error: orAbsent(text),
  created_at: real,
  updated_at: real,
  ttl: count(),
  error_code: orNull(code),
  path: orAbsent(path),
  attempt: orAbsent(count(U32)),
  max_attempts: orAbsent(count(U32)),
  lease: orNull(count()),
  started_at: orNull(real),
  priority: orAbsent(whole(I32)),
  not_before_at: orNull(real),
  progress: orNull(object<Progress>({ fraction: orNull(real), note: orAbsent(text) })),
  question: orNull(object<Question>({ number: count(U32), prompt: text, schema: orNull(anything) })),
  deadline_at: orNull(real),
  reason: orNull(text),
  parent_id: orNull(id),
  root_id: orNull(id),
  depth: orAbsent(count(U32)),
  chain: orAbsent(listOf(hop)),
  traceparent: orNull(traceparent),
  run_traceparent: orNull(traceparent),
});

const edge = object<MeshEdge>({
  from_peer: id,
  to_peer: id,
  identified: orAbsent(yesOrNo),
  relayed: orAbsent(yesOrNo),
});

const linkChange = object<LinkChange>({
  from_peer: id,
  to_peer: id,
  identified: orAbsent(yesOrNo),
  relayed: orAbsent(yesOrNo),
});

const newcomer = object<OnboardingEntry>({
  id: text,
  agent_name: text,
  peer_id: id,
  key: orNull(publicKey),
  status: pairingStatus,
  created_at: real,
  updated_at: real,
});

const payloads: { readonly [K in MeshEvent["type"]]: Check } = {
  agent_registered: agentRecord,
  agent_removed: object<AgentRef>({ agent_id: id }),
  agent_health: object<AgentHealth>({ agent_id: id, health }),
  task_changed: task,
  stale_result: object<StaleResult>({ task_id: id, lease: count(), peer_id: id }),
  link_up: linkChange,
  link_down: linkChange,
  pairing_changed: newcomer,
};

const meshEvent: Check = (value, at) => {
  if (!isObject(value) || typeof value.type !== "string") {
    throw new WireError("bad_field", `${at}.type: expected a string`);
  }
  if (!Object.hasOwn(payloads, value.type)) {
    throw new WireError("unknown_type", `unknown event type ${value.type.slice(0, 64)}`);
  }
  payloads[value.type as MeshEvent["type"]](value.payload ?? {}, `${at}.payload`);
};

const eventRecord = object<EventRecord>({ seq: count(), at_ms: count(), event: meshEvent });

const hubState = object<HubState>({
  seq: count(),
  agents: listOf(agentRecord),
  tasks: listOf(task),
  links: listOf(edge),
  newcomers: listOf(newcomer),
});

const sessionAnswer = object<SessionAnswer>({ peer_id: id, role, password_missing: orAbsent(yesOrNo) });

const taskPage = object<TaskPage>({ tasks: listOf(task), next_cursor: orNull(text) });
const taskHistory = object<TaskHistory>({ events: listOf(eventRecord), next_after: orNull(count()) });
const artifactPart = object<ArtifactPart>({
  name: text,
  media_type: text,
  size: count(),
  sha256: text,
  offset: count(),
});
const chunk = object<Chunk>({
  index: count(),
  data: anything,
  artifact: orNull(artifactPart),
  last: yesOrNo,
});
const chunkPage = object<ChunkPage>({
  attempt: count(U32),
  chunks: listOf(chunk),
  next: count(),
  ended: yesOrNo,
});
const submitAnswer = object<SubmitAnswer>({ task_id: id });
const ok = object<Ok>({ status: text });
const approveAnswer = object<ApproveAnswer>({
  id: text,
  status: pairingStatus,
  peer_id: id,
  device_token: orAbsent(text),
});
const inviteAnswer = object<InviteAnswer>({ code: text, expires_in: count() });
const keyRecord = object<KeyRecord>({
  key_id: text,
  peer_id: id,
  role,
  created_ms: count(),
  expires_ms: orNull(count()),
});
const keyAnswer = object<KeyAnswer>({ key_id: text, api_key: text, peer_id: id, role });
const sessionRecord = object<SessionRecord>({
  session_id: text,
  peer_id: id,
  role,
  credential: text,
  began_ms: count(),
  expires_ms: count(),
  is_own: orAbsent(yesOrNo),
});
const allowance = object<Allowance>({ per_second: count(), burst: count() });
const settings = object<Settings>({
  tls: oneOf<TlsKind>({ off: true, files: true, self_made: true }),
  root: publicKey,
  root_is_here: yesOrNo,
  has_key_file: yesOrNo,
  takes_url_token: yesOrNo,
  tells_traces: yesOrNo,
  keep_ended_s: count(),
  keep_events: count(),
  max_database_bytes: orNull(count()),
  max_sessions: count(),
  max_keys: count(),
  connections_per_address: count(),
  requests: allowance,
  open_requests: allowance,
  frames: allowance,
  socket_idle_ms: count(),
});
const healthAnswer = object<HealthAnswer>({ status: text, version: text });
const iceServer = object<IceServer>({ urls: listOf(text), username: orNull(text), credential: orNull(text) });
const iceConfig = object<IceConfig>({ iceServers: listOf(iceServer) });

const auditRecord = object<AuditRecord>({
  n: count(),
  at_ms: count(),
  action: text,
  by: text,
  role: orNull(role),
  credential: text,
  from: text,
  about: text,
  detail: text,
  prev: text,
  hash: text,
});
const auditPage = object<AuditPage>({ records: listOf(auditRecord), next_after: orNull(count()) });

const problem = object<Problem>({
  code,
  detail: text,
  fault,
  retry,
  status: orNull(count(U16)),
  title: orNull(text),
  request_id: orNull(text),
  error: orNull(text),
});

/** A value checked to be a `T`, or a `WireError`. */
export type Reader<T> = (value: unknown) => T;

function reader<T>(check: Check): Reader<T> {
  return (value) => {
    check(value, "");
    return value as T;
  };
}

export const readMeshEvent: Reader<MeshEvent> = reader(meshEvent);
export const readEventRecord: Reader<EventRecord> = reader(eventRecord);
export const readHubState: Reader<HubState> = reader(hubState);
export const readTask: Reader<Task> = reader(task);
export const readAgentRecord: Reader<AgentRecord> = reader(agentRecord);
export const readSession: Reader<SessionAnswer> = reader(sessionAnswer);
export const readProblem: Reader<Problem> = reader(problem);
export const readTaskPage: Reader<TaskPage> = reader(taskPage);
export const readTaskHistory: Reader<TaskHistory> = reader(taskHistory);
export const readChunkPage: Reader<ChunkPage> = reader(chunkPage);
export const readSubmitAnswer: Reader<SubmitAnswer> = reader(submitAnswer);
export const readOk: Reader<Ok> = reader(ok);
export const readNewcomers: Reader<OnboardingEntry[]> = reader(listOf(newcomer));
export const readApproveAnswer: Reader<ApproveAnswer> = reader(approveAnswer);
export const readInviteAnswer: Reader<InviteAnswer> = reader(inviteAnswer);
export const readKeys: Reader<KeyRecord[]> = reader(listOf(keyRecord));
export const readKeyAnswer: Reader<KeyAnswer> = reader(keyAnswer);
export const readSessions: Reader<SessionRecord[]> = reader(listOf(sessionRecord));
export const readSettings: Reader<Settings> = reader(settings);
export const readHealth: Reader<HealthAnswer> = reader(healthAnswer);
export const readAuditPage: Reader<AuditPage> = reader(auditPage);
export const readIceConfig: Reader<IceConfig> = reader(iceConfig);

/** The event in one `data:` of the stream. */
export function parseEventRecord(data: string): EventRecord {
  return readEventRecord(parseJson(data));
}
