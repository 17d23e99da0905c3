import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { ApproveAnswer, OnboardingEntry, Task } from "../../generated/wire";
import { useHub, useMay, useMesh } from "../../hub";
import { COMMANDS, decideAsCli } from "../../lib/snippets";
import { shortKey } from "../../lib/text";
import { CopyAs } from "../../ui/Copy";
import { Data } from "../../ui/Data";
import { AgentLink, TaskLink } from "../../ui/Links";
import { Page } from "../../ui/Page";
import { Empty, Panel } from "../../ui/Panel";
import { Secret } from "../../ui/Secret";
import { Ago } from "../../ui/Times";
import { useFollowed } from "../../ui/use-followed";
import { QuestionForm } from "../tasks/QuestionForm";
import { NewcomerDetail } from "./NewcomerDetail";
import "./inbox.css";

/** Most questions opened at once; the oldest first, for they wait longest. */
const MOST = 50;

/** Everything that waits for a person. */
export function InboxPage() {
  const mesh = useMesh();
  const questions = useMemo(
    () => mesh.newest.filter((task) => task.state === "input_required").reverse(),
    [mesh.newest],
  );
  const newcomers = [...mesh.newcomers.values()].sort((a, b) => a.created_at - b.created_at);
  const [admitted, setAdmitted] = useState<ApproveAnswer | null>(null);
  const [said, setSaid] = useState("");
  const admits = useMay("admit");
  const count = questions.length + newcomers.length;
  return (
    <Page title="Inbox" note={count > 0 ? count.toLocaleString() : undefined}>
      {admitted?.device_token && (
        <Secret
          what={`The device token of ${admitted.peer_id}`}
          secret={admitted.device_token}
          note="It is shown this once. Give it to the newcomer: it is its credential."
        />
      )}
      {said && (
        <p role="status" className="quiet">
          <Data text={said} />
        </p>
      )}
      {count === 0 && (
        <Empty title="Nobody waits for you">
          <span>Newcomers to approve and questions of running work appear here.</span>
        </Empty>
      )}
      {newcomers.length > 0 && (
        <Panel
          id="newcomers"
          title="Newcomers"
          count={newcomers.length}
          tools={admits && <CopyAs cli={COMMANDS.newcomers} about="listing newcomers" />}
        >
          <ul>
            {newcomers.map((entry) => (
              <Newcomer key={entry.id} entry={entry} admitted={setAdmitted} say={setSaid} />
            ))}
          </ul>
        </Panel>
      )}
      {questions.length > 0 && (
        <Panel id="questions" title="Questions" count={questions.length}>
          <ul>
            {questions.slice(0, MOST).map((task) => (
              <QuestionOf key={task.id} task={task} say={setSaid} />
            ))}
          </ul>
          {questions.length > MOST && (
            <p className="panel__text">
              <Link to="/tasks" search={{ state: "input_required" }} className="link">
                {questions.length - MOST} more in the task list
              </Link>
            </p>
          )}
        </Panel>
      )}
      <Decided />
    </Page>
  );
}

function QuestionOf({ task, say }: { task: Task; say: (what: string) => void }) {
  return (
    <li className="inbox__item" data-question={task.id}>
      <p className="inbox__head">
        <AgentLink id={task.assigned_agent_id} otherwise="An agent" /> asks, working on{" "}
        <TaskLink id={task.id} text={task.skill || "a task"} />
        <span className="quiet">
          <Ago ms={task.updated_at * 1000} />
        </span>
      </p>
      {task.question ? (
        <QuestionForm
          key={task.question.number}
          task={task}
          question={task.question}
          answered={() => say(`The answer to ${task.skill || "the task"} was taken.`)}
        />
      ) : (
        <p className="quiet">The question is on its way.</p>
      )}
    </li>
  );
}

interface NewcomerProps {
  readonly entry: OnboardingEntry;
  /** Its row leaves with the decision; what the decision gave stays. */
  readonly admitted: (answer: ApproveAnswer) => void;
  readonly say: (what: string) => void;
}

function Newcomer({ entry, admitted, say }: NewcomerProps) {
  const { api } = useHub();
  const admits = useMay("admit");
  const approve = useMutation({
    mutationFn: async () => {
      const answer = await api.approve(entry.id);
      admitted(answer);
      if (!answer.device_token) say(`${entry.agent_name} was let in.`);
    },
  });
  const reject = useMutation({
    mutationFn: async () => {
      await api.reject(entry.id);
      say(`${entry.agent_name} was refused.`);
    },
  });
  const [looking, setLooking] = useState(false);
  const failure = approve.error ?? reject.error;
  return (
    <li className="inbox__item" data-newcomer={entry.id}>
      <p className="inbox__head">
        <button type="button" className="link" onClick={() => setLooking(true)}>
          <Data text={entry.agent_name} />
        </button>{" "}
        asks to join as <Data text={entry.peer_id} mono />
        {entry.key && (
          <>
            , with the key <span className="mono">{shortKey(entry.key)}</span>
          </>
        )}
        <span className="quiet">
          <Ago ms={entry.created_at * 1000} />
        </span>
      </p>
      {admits ? (
        <div className="form__deeds">
          <button
            type="button"
            className="button button--primary"
            disabled={approve.isPending}
            onClick={() => approve.mutate()}
          >
            Approve
          </button>
          <CopyAs cli={decideAsCli("approve", entry.id)} about={`approving ${entry.agent_name}`} />
          <button
            type="button"
            className="button"
            disabled={reject.isPending}
            onClick={() => reject.mutate()}
          >
            Reject
          </button>
          <CopyAs cli={decideAsCli("reject", entry.id)} about={`rejecting ${entry.agent_name}`} />
        </div>
      ) : (
        <p className="quiet">An admin decides.</p>
      )}
      {looking && <NewcomerDetail entry={entry} close={() => setLooking(false)} />}
      {failure && (
        <p role="alert" className="field__problem">
          {failure.message}
        </p>
      )}
    </li>
  );
}

/** Newcomers that were decided on, for an admin: an approved one may be sent away again. */
function Decided() {
  const admits = useMay("admit");
  const [open, setOpen] = useState(false);
  if (!admits) return null;
  return (
    <details className="decided" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Decided before</summary>
      {open && <DecidedList />}
    </details>
  );
}

function DecidedList() {
  const { api } = useHub();
  const { newcomers } = useMesh();
  const { data, error } = useFollowed(["pairing"], newcomers, (signal) => api.newcomers(signal));
  const revoke = useMutation({ mutationFn: ({ id }: OnboardingEntry) => api.revoke(id) });
  const decided = (data ?? []).filter((entry) => entry.status !== "pending_approval");
  if (error) return <p className="notice notice--bad">{error.message}</p>;
  if (data && decided.length === 0) return <p className="quiet">Nobody yet.</p>;
  return (
    <>
      {revoke.isSuccess && (
        <p role="status" className="quiet">
          <Data text={revoke.variables.agent_name} /> was sent away.
        </p>
      )}
      {revoke.error && (
        <p role="alert" className="field__problem">
          {revoke.error.message}
        </p>
      )}
      <DecidedLines decided={decided} revoke={revoke.mutate} />
    </>
  );
}

interface DecidedLinesProps {
  readonly decided: readonly OnboardingEntry[];
  readonly revoke: (entry: OnboardingEntry) => void;
}

function DecidedLines({ decided, revoke }: DecidedLinesProps) {
  const [looking, setLooking] = useState<OnboardingEntry | null>(null);
  return (
    <>
      {looking && <NewcomerDetail entry={looking} close={() => setLooking(null)} />}
      <ul className="lines">
        {decided.map((entry) => (
          <li key={entry.id} className="line">
            <span className="line__text">
              <button type="button" className="link" onClick={() => setLooking(entry)}>
                <Data text={entry.agent_name} />
              </button>{" "}
              <Data text={entry.peer_id} mono />
            </span>
            <span className="quiet">{entry.status}</span>
            {entry.status === "approved" && (
              <>
                <CopyAs cli={decideAsCli("revoke", entry.id)} about={`revoking ${entry.agent_name}`} />
                <button type="button" className="button" onClick={() => revoke(entry)}>
                  Revoke
                </button>
              </>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
