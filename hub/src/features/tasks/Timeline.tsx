import { useMemo } from "react";
import type { EventRecord, Task } from "../../generated/wire";
import { useNow } from "../../hub";
import { duration, moment } from "../../lib/time";
import { type Attempt, attemptsOf, stepsOf } from "../../lib/timeline";
import { Data } from "../../ui/Data";
import { AgentLink } from "../../ui/Links";

/** What happened to a task, and each attempt at it. */
export function Timeline({ events, task }: { events: readonly EventRecord[]; task: Task }) {
  const steps = useMemo(() => stepsOf(events), [events]);
  const attempts = useMemo(() => attemptsOf(events), [events]);
  if (steps.length === 0) return <p className="panel__text quiet">Its events are no longer kept.</p>;
  const firstMs = Math.min(task.created_at * 1000, steps[0]?.atMs ?? 0);
  return (
    <>
      <ol className="timeline">
        {steps.map((step) => (
          <li key={step.seq} className={`timeline__step timeline__step--${step.tone}`}>
            <span className="timeline__what">{step.what}</span>
            <time className="timeline__at" title={moment(step.atMs)}>
              +{duration(Math.max(0, step.atMs - firstMs))}
            </time>
            {step.note && (
              <span className="timeline__note">
                <Data text={step.note} />
              </span>
            )}
          </li>
        ))}
      </ol>
      {attempts.length > 1 && <Attempts attempts={attempts} />}
    </>
  );
}

function Attempts({ attempts }: { attempts: readonly Attempt[] }) {
  const now = useNow();
  return (
    <table className="table table--attempts" aria-label="Attempts">
      <thead>
        <tr>
          <th scope="col">Attempt</th>
          <th scope="col">Agent</th>
          <th scope="col" className="number">
            Took
          </th>
          <th scope="col">Ended</th>
        </tr>
      </thead>
      <tbody>
        {attempts.map((attempt) => (
          <tr key={`${attempt.number} ${attempt.startMs}`}>
            <td>{attempt.number}</td>
            <td>
              <AgentLink id={attempt.agent} />
            </td>
            <td className="number">{duration(Math.max(0, (attempt.endMs ?? now) - attempt.startMs))}</td>
            <td>{attempt.outcome || "runs"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
