import { useState } from "react";
import type { Task } from "../../generated/wire";
import { useHub } from "../../hub";
import { again } from "../../lib/again";
import { inTurn } from "../../lib/in-turn";
import type { Lookup } from "../../lib/layered-map";
import { eachTaskAsCli } from "../../lib/snippets";
import { isTerminal } from "../../lib/tasks";
import { CopyAs } from "../../ui/Copy";
import { Dialog } from "../../ui/Dialog";

export interface BulkBarProps {
  readonly marked: ReadonlySet<string>;
  readonly tasks: Lookup<Task>;
  readonly shown: readonly Task[];
  readonly setMarked: (marked: ReadonlySet<string>) => void;
}

/** What can be done with the selected tasks. */
export function BulkBar({ marked, tasks, shown, setMarked }: BulkBarProps) {
  const { api } = useHub();
  const [asking, setAsking] = useState<"cancel" | "again" | null>(null);
  const [said, setSaid] = useState("");
  const all = [...marked].map((id) => tasks.get(id)).filter((task) => task !== undefined);
  const open = all.filter((task) => !isTerminal(task.state));
  const ended = all.filter((task) => isTerminal(task.state));
  // The command line asks again only for what did not come to a result.
  const unmet = ended.filter((task) => task.state !== "completed");
  const ids = (of: readonly Task[]) => of.map((task) => task.id);
  const run = async (word: string, of: readonly Task[], deed: (task: Task) => Promise<unknown>) => {
    setAsking(null);
    const { done, failures } = await inTurn(of, deed, (n) => setSaid(`${word}: ${n} of ${of.length}`));
    const first = failures[0] ? ` The first: ${failures[0].message}` : "";
    setSaid(`${word}: ${done} done${failures.length > 0 ? `, ${failures.length} refused.${first}` : ""}`);
  };
  return (
    <fieldset className="bulk" aria-label="Selected tasks">
      <strong>{marked.size.toLocaleString()} selected</strong>
      <button
        type="button"
        className="button"
        onClick={() => setMarked(new Set(shown.map((task) => task.id)))}
      >
        Select all {shown.length.toLocaleString()}
      </button>
      <button
        type="button"
        className="button"
        disabled={open.length === 0}
        onClick={() => setAsking("cancel")}
      >
        Cancel {open.length.toLocaleString()}
      </button>
      {open.length > 0 && <CopyAs cli={eachTaskAsCli("cancel", ids(open))} about="canceling them" />}
      <button
        type="button"
        className="button"
        disabled={ended.length === 0}
        onClick={() => setAsking("again")}
      >
        Run {ended.length.toLocaleString()} again
      </button>
      {unmet.length > 0 && <CopyAs cli={eachTaskAsCli("retry", ids(unmet))} about="retrying them" />}
      <button type="button" className="button" onClick={() => setMarked(new Set())}>
        Select none
      </button>
      <span role="status" className="bulk__said">
        {said}
      </span>
      {asking === "cancel" && (
        <Confirm
          title={`Cancel ${open.length.toLocaleString()} ${open.length === 1 ? "task" : "tasks"}?`}
          text="Each one stops, and with it whatever it asked of others. This cannot be undone."
          yes="Cancel them"
          close={() => setAsking(null)}
          then={() => void run("Canceled", open, (task) => api.cancel(task.id))}
        />
      )}
      {asking === "again" && (
        <Confirm
          title={`Run ${ended.length.toLocaleString()} ${ended.length === 1 ? "task" : "tasks"} again?`}
          text="Each is asked for once more as a new task, with the same skill, receiver and payload."
          yes="Run them"
          close={() => setAsking(null)}
          then={() => void run("Asked again", ended, async ({ id }) => api.submit(again(await api.task(id))))}
        />
      )}
    </fieldset>
  );
}

export interface ConfirmProps {
  readonly title: string;
  readonly text: string;
  readonly yes: string;
  readonly close: () => void;
  readonly then: () => void;
}

export function Confirm({ title, text, yes, close, then }: ConfirmProps) {
  return (
    <Dialog title={title} close={close}>
      <p>{text}</p>
      <div className="dialog__deeds">
        <button type="button" className="button" onClick={close}>
          Not now
        </button>
        <button type="button" className="button button--primary" onClick={then}>
          {yes}
        </button>
      </div>
    </Dialog>
  );
}
