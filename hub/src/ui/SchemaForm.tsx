import { useId } from "react";
import type { Field, Made, Texts } from "../lib/schema-form";

export interface SchemaFormProps {
  /** `null`: only JSON can say it. */
  readonly fields: readonly Field[] | null;
  readonly texts: Texts;
  readonly set: (name: string, text: string) => void;
  /** What the texts make; its problems are shown once somebody tried to send. */
  readonly made: Made;
  readonly tried: boolean;
}

/** The inputs of a form made of a JSON Schema. */
export function SchemaForm({ fields, texts, set, made, tried }: SchemaFormProps) {
  const problems: Readonly<Record<string, string>> = tried && !made.ok ? made.problems : {};
  if (!fields) {
    return (
      <Line name="" label="JSON" note="" problem={problems[""]}>
        {(props) => (
          <textarea
            {...props}
            className="input mono"
            rows={4}
            spellCheck={false}
            placeholder="{}"
            value={texts[""] ?? ""}
            onChange={(event) => set("", event.target.value)}
          />
        )}
      </Line>
    );
  }
  return fields.map((field) => (
    <Line
      key={field.name}
      name={field.name}
      label={field.name || "Answer"}
      note={field.description}
      optional={!field.required}
      problem={problems[field.name]}
    >
      {(props) => <Control field={field} text={texts[field.name] ?? ""} set={set} props={props} />}
    </Line>
  ));
}

interface ControlProps {
  readonly id: string;
  readonly "aria-invalid": boolean;
  readonly "aria-describedby": string | undefined;
}

interface LineProps {
  readonly name: string;
  readonly label: string;
  readonly note: string;
  readonly optional?: boolean;
  readonly problem: string | undefined;
  readonly children: (props: ControlProps) => React.ReactNode;
}

function Line({ label, note, optional = false, problem, children }: LineProps) {
  const id = useId();
  const described = problem ? `${id}-problem` : note ? `${id}-note` : undefined;
  return (
    <div className="field">
      <label htmlFor={id}>
        <bdi className="mono">{label.slice(0, 120)}</bdi>
        {optional && <span className="field__optional">optional</span>}
      </label>
      {note && (
        <p id={`${id}-note`} className="field__note">
          <bdi>{note.slice(0, 400)}</bdi>
        </p>
      )}
      {children({ id, "aria-invalid": problem !== undefined, "aria-describedby": described })}
      {problem && (
        <p id={`${id}-problem`} className="field__problem">
          {problem}
        </p>
      )}
    </div>
  );
}

interface FieldControlProps {
  readonly field: Field;
  readonly text: string;
  readonly set: (name: string, text: string) => void;
  readonly props: ControlProps;
}

function Control({ field, text, set, props }: FieldControlProps) {
  const change = (event: { target: { value: string } }) => set(field.name, event.target.value);
  switch (field.kind) {
    case "boolean":
    case "choice": {
      const options = field.kind === "boolean" ? ["true", "false"] : field.options;
      return (
        <select {...props} className="input" value={text} onChange={change}>
          <option value="">–</option>
          {options.map((option) => (
            <option key={option} value={option}>
              {label(option)}
            </option>
          ))}
        </select>
      );
    }
    case "number":
    case "integer":
      return <input {...props} className="input" inputMode="decimal" value={text} onChange={change} />;
    case "text":
      return <input {...props} className="input" value={text} onChange={change} />;
    default: {
      const json = field.kind === "json";
      return (
        <textarea
          {...props}
          className={json ? "input mono" : "input"}
          rows={json ? 3 : 2}
          spellCheck={!json}
          placeholder={json ? "JSON" : ""}
          value={text}
          onChange={change}
        />
      );
    }
  }
}

/** A choice as a person reads it: text without its quotes. */
function label(option: string): string {
  const value: unknown = JSON.parse(option);
  return (typeof value === "string" ? value : option).slice(0, 120);
}
