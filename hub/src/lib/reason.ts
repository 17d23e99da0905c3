// Why a task stands where it stands, in one sentence. Pure.

import type { Task } from "../generated/wire";
import { skillNames } from "./agents";
import type { AgentEntry, MeshState } from "./mesh-state";

export function whyState(task: Task, mesh: MeshState): string {
  switch (task.state) {
    case "pending":
      return whyPending(task, mesh);
    case "assigned":
      return `${task.assigned_agent_id || "An agent"} holds its lease.`;
    case "input_required":
      return "Its handler waits for an answer.";
    case "completed":
      return `${task.assigned_agent_id || "An agent"} answered.`;
    case "failed":
      return task.error_code ? `It ended with ${task.error_code}.` : "It ended with an error.";
    case "canceled":
      return "Somebody asked for it to stop.";
  }
}

function whyPending(task: Task, mesh: MeshState): string {
  if (task.target_agent_id) return whyTargetWaits(task.target_agent_id, mesh);
  const able = [...mesh.agents.values()].filter((entry) => skillNames(entry.record).includes(task.skill));
  if (able.length === 0) return `No agent offers ${task.skill || "a skill without a name"}.`;
  if (!able.some(isActive)) return `Every agent that offers ${task.skill} is away.`;
  return "It waits for an agent to take it.";
}

function whyTargetWaits(target: string, mesh: MeshState): string {
  const entry = mesh.agents.get(target);
  if (!entry) return `It is meant for ${target}, which is not in the mesh.`;
  if (!isActive(entry)) return `It is meant for ${target}, which is ${entry.record.health}.`;
  return `It waits for ${target} to take it.`;
}

function isActive(entry: AgentEntry): boolean {
  return entry.record.health === "active";
}
