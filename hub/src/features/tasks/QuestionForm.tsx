import { useMutation } from "@tanstack/react-query";
import type { FormEvent } from "react";
import type { Question, Task } from "../../generated/wire";
import { useHub, useMay } from "../../hub";
import { answerAsCli } from "../../lib/snippets";
import { CopyAs } from "../../ui/Copy";
import { LongText } from "../../ui/Data";
import { SchemaForm } from "../../ui/SchemaForm";
import { useSchemaForm } from "../../ui/use-schema-form";

/** A question without a schema takes any text. */
const ANY_TEXT = { type: "string" };

export interface QuestionFormProps {
  readonly task: Pick<Task, "id">;
  readonly question: Question;
  /** The registry took the answer; the form may be gone by then. */
  readonly answered?: () => void;
}

export function QuestionForm({ task, question, answered }: QuestionFormProps) {
  const { api } = useHub();
  const works = useMay("work");
  const form = useSchemaForm(question.schema ?? ANY_TEXT);
  const send = useMutation({
    mutationFn: async (value: unknown) => {
      await api.answer(task.id, { number: question.number, value });
      answered?.();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const made = form.take();
    if (made) send.mutate(made.value);
  };
  return (
    <form className="form" onSubmit={submit} aria-label="Answer the question">
      <LongText text={question.prompt} fileName={`${task.id}.question.txt`} plain />
      {works ? (
        <>
          <SchemaForm {...form} />
          <div className="form__deeds">
            <button
              type="submit"
              className="button button--primary"
              disabled={send.isPending || send.isSuccess}
            >
              {send.isSuccess ? "Answered" : "Answer"}
            </button>
            {form.canToggle && (
              <button type="button" className="link" onClick={form.toggleJson}>
                {form.asJson ? "As a form" : "As JSON"}
              </button>
            )}
            <CopyAs cli={answerAsCli(task.id, form.made.ok ? form.made.value : null)} />
          </div>
        </>
      ) : (
        <p className="quiet">An operator may answer.</p>
      )}
      {send.error && (
        <p role="alert" className="field__problem">
          {send.error.message}
        </p>
      )}
    </form>
  );
}
