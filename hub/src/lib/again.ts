import type { SubmitTask, Task } from "../generated/wire";

/** The same request as a new task. Who asked for it the first time is not who asks now. */
export function again(task: Task): SubmitTask {
  return {
    skill: task.skill,
    ...(task.target_agent_id ? { target_agent_id: task.target_agent_id } : {}),
    payload: task.payload,
    ttl: task.ttl,
    max_attempts: task.max_attempts,
    priority: task.priority,
  };
}
