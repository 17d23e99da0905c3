import { useMutation } from "@tanstack/react-query";
import type { FormEvent } from "react";
import type { SkillInfo } from "../../generated/wire";
import { useHub, useMesh } from "../../hub";
import { callAsCli, callAsPython } from "../../lib/snippets";
import { jsonText } from "../../lib/text";
import { StateBadge } from "../../ui/Badge";
import { CopyAs } from "../../ui/Copy";
import { Data, LongText } from "../../ui/Data";
import { TaskLink } from "../../ui/Links";
import { SchemaForm } from "../../ui/SchemaForm";
import { useSchemaForm } from "../../ui/use-schema-form";
import { QuestionForm } from "../tasks/QuestionForm";
import { StreamView } from "../tasks/StreamView";
import { useStream } from "../tasks/use-stream";
import { useTask } from "../tasks/use-task";
import "./outcome.css";

/** A form made of the skill's schema; what it gives goes to this agent as a task. */
export function TrySkill({ agent, skill }: { agent: string; skill: SkillInfo }) {
  const { api } = useHub();
  const form = useSchemaForm(skill.input_schema);
  const run = useMutation({
    mutationFn: (payload: unknown) =>
      api.submit({ skill: skill.name, target_agent_id: agent, payload, stream: true }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const made = form.take();
    if (made) run.mutate(made.value);
  };
  const call = { skill: skill.name, to: agent, payload: form.made.ok ? form.made.value : {} };
  return (
    <div className="try">
      <form className="form" onSubmit={submit} aria-label={`Try ${skill.name.slice(0, 120)}`}>
        <SchemaForm {...form} />
        <div className="form__deeds">
          <button type="submit" className="button button--primary" disabled={run.isPending}>
            Run
          </button>
          {form.canToggle && (
            <button type="button" className="link" onClick={form.toggleJson}>
              {form.asJson ? "As a form" : "As JSON"}
            </button>
          )}
          <CopyAs cli={callAsCli(call)} python={callAsPython(call)} />
        </div>
        {run.error && (
          <p role="alert" className="field__problem">
            {run.error.message}
          </p>
        )}
      </form>
      {run.data && <Outcome key={run.data.task_id} id={run.data.task_id} />}
    </div>
  );
}

/** How the task goes, as it goes. */
export function Outcome({ id }: { id: string }) {
  const mesh = useMesh();
  const { task, error } = useTask(id);
  const known = task ?? mesh.tasks.get(id);
  const result = jsonText(known?.result);
  const streamed = useStream(known);
  return (
    <div className="outcome" data-outcome={id}>
      <p className="outcome__head">
        {known && <StateBadge state={known.state} />}
        <TaskLink id={id} />
      </p>
      {error && <p className="field__problem">{error.message}</p>}
      {known?.state === "assigned" && known.progress && (
        <p className="progress-note">
          {known.progress.fraction != null && (
            <progress max={1} value={known.progress.fraction} aria-label="Progress" />
          )}
          <Data text={known.progress.note} />
        </p>
      )}
      {known?.state === "input_required" && known.question && (
        <QuestionForm key={known.question.number} task={known} question={known.question} />
      )}
      {streamed && streamed.text !== result && <StreamView streamed={streamed} />}
      {known?.error && (
        <div className="text text--bad">
          <LongText text={known.error} fileName={`${id}.error.txt`} />
        </div>
      )}
      {result && <LongText text={result} fileName={`${id}.result.txt`} />}
    </div>
  );
}
