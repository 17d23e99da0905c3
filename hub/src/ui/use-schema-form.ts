import { useMemo, useState } from "react";
import { fieldsOf, initialTexts, type Made, madeOf, madeOfJson, type Texts } from "../lib/schema-form";
import type { SchemaFormProps } from "./SchemaForm";

export interface FormState extends SchemaFormProps {
  readonly made: Made;
  /** Shows the problems from now on; answers the value when there are none. */
  readonly take: () => Extract<Made, { ok: true }> | null;
  readonly asJson: boolean;
  readonly toggleJson: () => void;
  readonly canToggle: boolean;
}

/** What somebody types into the form of a schema. The schema's own object may change with every event: its text counts. */
export function useSchemaForm(schema: unknown): FormState {
  const key = JSON.stringify(schema ?? null);
  const ofSchema = useMemo(() => fieldsOf(JSON.parse(key)), [key]);
  const [texts, setTexts] = useState<Texts>(() => initialTexts(ofSchema ?? []));
  const [tried, setTried] = useState(false);
  const [asJson, setAsJson] = useState(false);
  const fields = asJson ? null : ofSchema;
  const made = useMemo(() => (fields ? madeOf(fields, texts) : madeOfJson(texts[""] ?? "")), [fields, texts]);
  return {
    fields,
    texts,
    made,
    tried,
    set: (name, text) => setTexts((before) => ({ ...before, [name]: text })),
    take: () => {
      setTried(true);
      return made.ok ? made : null;
    },
    asJson: fields === null,
    canToggle: ofSchema !== null && !(ofSchema.length === 1 && ofSchema[0]?.name === ""),
    toggleJson: () => {
      // What was typed goes along, as JSON.
      if (!asJson && made.ok) setTexts((before) => ({ ...before, "": JSON.stringify(made.value, null, 2) }));
      setAsJson(!asJson);
    },
  };
}
