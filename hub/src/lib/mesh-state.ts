// What the page knows of the mesh, and how each event changes it. Pure: a snapshot and events in, a state out.
// It is built for bursts: one copy of what a burst touches, no sorting, no counting anew.

import type {
  AgentRecord,
  EventRecord,
  HubState,
  MeshEdge,
  MeshEvent,
  OnboardingEntry,
  Task,
} from "../generated/wire";
import { LayeredMap } from "./layered-map";
import { type Beat, pulseAfter } from "./pulse";
import { countByState, isTerminal, newestFirst, placeOf, type StateCounts } from "./tasks";

/** An agent, with what the stream told about it since the snapshot. */
export interface AgentEntry {
  readonly record: AgentRecord;
  /** When its health changed last, Unix milliseconds; `null` when that was before the snapshot. */
  readonly healthSinceMs: number | null;
}

export interface MeshState {
  /** Number of the last event in it. */
  readonly seq: number;
  readonly agents: ReadonlyMap<string, AgentEntry>;
  readonly tasks: LayeredMap<Task>;
  /** The same tasks, newest first. */
  readonly newest: readonly Task[];
  /** The same tasks, counted by state. */
  readonly counts: StateCounts;
  /** By `linkKey`. */
  readonly links: ReadonlyMap<string, MeshEdge>;
  /** Newcomers that wait for a decision. */
  readonly newcomers: ReadonlyMap<string, OnboardingEntry>;
  /** The newest events, oldest first. */
  readonly log: readonly EventRecord[];
  /** What happened in the last minutes, counted. */
  readonly pulse: readonly Beat[];
}

/** Most tasks kept in the page; the oldest ended ones leave first. Keeps the tab within its memory. */
export const MAX_TASKS_KEPT = 60_000;

/** Most events kept for reading: some minutes of a busy mesh, within a few megabytes. */
export const MAX_LOG = 2_000;

/** Names one link whichever end comes first. */
export function linkKey(link: MeshEdge): string {
  return link.from_peer < link.to_peer
    ? `${link.from_peer} ${link.to_peer}`
    : `${link.to_peer} ${link.from_peer}`;
}

export function fromSnapshot(snapshot: HubState): MeshState {
  return {
    seq: snapshot.seq,
    agents: new Map(snapshot.agents.map((record) => [record.agent_id, { record, healthSinceMs: null }])),
    tasks: LayeredMap.of(snapshot.tasks.map((task) => [task.id, task] as const)),
    newest: newestFirst(snapshot.tasks),
    counts: countByState(snapshot.tasks),
    links: new Map(snapshot.links.map((link) => [linkKey(link), link])),
    newcomers: new Map(snapshot.newcomers.map((entry) => [entry.id, entry])),
    log: [],
    pulse: [],
  };
}

/** The state with tasks from further back. What it already knows is newer and stays. */
export function withOlder(state: MeshState, older: readonly Task[]): MeshState {
  const added = older.filter((task) => !state.tasks.has(task.id));
  if (added.length === 0) return state;
  const tasks = state.tasks.with(new Map(added.map((task) => [task.id, task])));
  return { ...state, tasks, newest: newestFirst(tasks.values()), counts: countByState(tasks.values()) };
}

export function applyEvent(state: MeshState, record: EventRecord): MeshState {
  return applyEvents(state, [record]);
}

/** Applies events in the order of their numbers; those the state already holds change nothing. */
export function applyEvents(state: MeshState, records: readonly EventRecord[]): MeshState {
  const draft = new Draft(state);
  for (const record of records) draft.take(record);
  return draft.finish();
}

type Handler<E extends MeshEvent> = (draft: Draft, payload: NonNullable<E["payload"]>, atMs: number) => void;
type Handlers = { readonly [K in MeshEvent["type"]]: Handler<Extract<MeshEvent, { type: K }>> };

const handlers: Handlers = {
  agent_registered: (draft, record, atMs) => {
    const before = draft.agents.read().get(record.agent_id);
    const healthSinceMs = before?.record.health === record.health ? before.healthSinceMs : atMs;
    draft.agents.write().set(record.agent_id, { record, healthSinceMs });
  },
  agent_removed: (draft, { agent_id }) => {
    draft.agents.write().delete(agent_id);
  },
  agent_health: (draft, { agent_id, health }, atMs) => {
    const entry = draft.agents.read().get(agent_id);
    if (!entry) return;
    draft.agents.write().set(agent_id, { record: { ...entry.record, health }, healthSinceMs: atMs });
  },
  task_changed: (draft, task) => {
    const before = draft.taskBefore(task.id);
    draft.changed.set(task.id, task);
    draft.reorder(before, task);
    draft.recount(before, task);
    draft.countInFlight(before, -1);
    draft.countInFlight(task, 1);
  },
  // It changes nothing: the task's own history tells it.
  stale_result: () => {},
  link_up: (draft, link) => {
    draft.links.write().set(linkKey(link), link);
  },
  link_down: (draft, link) => {
    draft.links.write().delete(linkKey(link));
  },
  pairing_changed: (draft, entry) => {
    if (entry.status === "pending_approval") draft.newcomers.write().set(entry.id, entry);
    else draft.newcomers.write().delete(entry.id);
  },
};

/** A map that is copied on the first write, so a burst of events costs one copy. */
class CopyOnWrite<V> {
  private copy: Map<string, V> | undefined;
  private readonly origin: ReadonlyMap<string, V>;

  constructor(origin: ReadonlyMap<string, V>) {
    this.origin = origin;
  }

  read(): ReadonlyMap<string, V> {
    return this.copy ?? this.origin;
  }

  write(): Map<string, V> {
    this.copy ??= new Map(this.origin);
    return this.copy;
  }
}

class Draft {
  readonly agents: CopyOnWrite<AgentEntry>;
  readonly changed = new Map<string, Task | null>();
  readonly links: CopyOnWrite<MeshEdge>;
  readonly newcomers: CopyOnWrite<OnboardingEntry>;
  private newest: Task[] | undefined;
  private counts: StateCounts | undefined;
  private readonly taken: EventRecord[] = [];
  private seq: number;
  private readonly origin: MeshState;

  constructor(state: MeshState) {
    this.origin = state;
    this.seq = state.seq;
    this.agents = new CopyOnWrite(state.agents);
    this.links = new CopyOnWrite(state.links);
    this.newcomers = new CopyOnWrite(state.newcomers);
  }

  take(record: EventRecord): void {
    if (record.seq <= this.seq) return;
    this.seq = record.seq;
    this.taken.push(record);
    const { type, payload } = record.event;
    // The table above pairs every type with its own payload; the compiler cannot follow the pair through the lookup.
    (handlers[type] as Handler<MeshEvent>)(this, payload as never, record.at_ms);
  }

  taskBefore(id: string): Task | undefined {
    return this.changed.get(id) ?? this.origin.tasks.get(id);
  }

  /** Keeps the order by finding places instead of sorting: a burst costs one copy of the list. */
  reorder(before: Task | undefined, task: Task): void {
    this.newest ??= [...this.origin.newest];
    const list = this.newest;
    if (before) {
      const at = placeOf(list, before);
      if (list[at]?.id === before.id) {
        if (before.created_at === task.created_at) {
          list[at] = task;
          return;
        }
        list.splice(at, 1);
      }
    }
    list.splice(placeOf(list, task), 0, task);
  }

  recount(before: Task | undefined, task: Task): void {
    this.counts ??= { ...this.origin.counts };
    if (before) this.counts[before.state] -= 1;
    this.counts[task.state] += 1;
  }

  /** Agents' own counts come with their records; between records the tasks tell. */
  countInFlight(task: Task | undefined, change: 1 | -1): void {
    if (task?.state !== "assigned" && task?.state !== "input_required") return;
    const entry = this.agents.read().get(task.assigned_agent_id);
    if (!entry) return;
    const inFlight = Math.max(0, (entry.record.tasks_in_flight ?? 0) + change);
    const record = { ...entry.record, tasks_in_flight: inFlight };
    this.agents.write().set(record.agent_id, { ...entry, record });
  }

  finish(): MeshState {
    if (this.seq === this.origin.seq) return this.origin;
    this.forgetOldTasks();
    return {
      seq: this.seq,
      agents: this.agents.read(),
      tasks: this.origin.tasks.with(this.changed),
      newest: this.newest ?? this.origin.newest,
      counts: this.counts ?? this.origin.counts,
      links: this.links.read(),
      newcomers: this.newcomers.read(),
      log: [...this.origin.log, ...this.taken].slice(-MAX_LOG),
      pulse: pulseAfter(this.origin.pulse, this.taken),
    };
  }

  private forgetOldTasks(): void {
    const list = this.newest;
    const extra = (list?.length ?? 0) - MAX_TASKS_KEPT;
    if (!list || extra <= 0) return;
    // A tenth more than needed, so that the walk is paid once in many events.
    let room = extra + MAX_TASKS_KEPT / 10;
    const gone = new Set<string>();
    for (let at = list.length - 1; at >= 0 && room > 0; at--) {
      const task = list[at];
      if (!task || !isTerminal(task.state)) continue;
      gone.add(task.id);
      room -= 1;
      this.changed.set(task.id, null);
      if (this.counts) this.counts[task.state] -= 1;
    }
    this.newest = list.filter((task) => !gone.has(task.id));
  }
}
