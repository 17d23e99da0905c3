import { Search } from "lucide-react";
import { useDraft } from "./use-draft";

export interface FilterProps {
  readonly label: string;
  readonly value: string;
  readonly set: (text: string) => void;
}

/** The field that `/` leads to. */
export function Filter({ label, value, set }: FilterProps) {
  const [draft, type] = useDraft(value, set);
  return (
    <label className="filter-field">
      <Search aria-hidden="true" />
      <span className="visually-hidden">{label}</span>
      <input
        type="search"
        data-filter
        placeholder={label}
        maxLength={200}
        spellCheck={false}
        value={draft}
        onChange={(event) => type(event.target.value)}
      />
    </label>
  );
}

export interface ChoicesProps<T extends string> {
  readonly label: string;
  /** What no choice is called. */
  readonly all?: string;
  readonly choices: readonly (readonly [value: T, name: string, count?: number])[];
  readonly current: T | undefined;
  readonly choose: (value: T | undefined) => void;
}

/** One of a few, or all. */
export function Choices<T extends string>({ label, all = "all", choices, current, choose }: ChoicesProps<T>) {
  return (
    <fieldset className="filters" aria-label={label}>
      <button
        type="button"
        className="filter"
        aria-pressed={current === undefined}
        onClick={() => choose(undefined)}
      >
        {all}
      </button>
      {choices.map(([value, name, count]) => (
        <button
          key={value}
          type="button"
          className="filter"
          aria-pressed={current === value}
          onClick={() => choose(current === value ? undefined : value)}
        >
          {name}
          {count !== undefined && <span className="filter__count"> {count.toLocaleString()}</span>}
        </button>
      ))}
    </fieldset>
  );
}
