import { type KeyboardEvent, memo, type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { ROW_PX, useInSight } from "./use-in-sight";
import { useKeys } from "./use-keys";

export interface Column<T> {
  readonly key: string;
  readonly head: string;
  readonly cell: (row: T) => ReactNode;
  readonly className?: string;
}

export interface DataTableProps<T> {
  readonly label: string;
  /** Names the rows to tests and styles: `data-task`, `data-agent`. */
  readonly noun: string;
  readonly rows: readonly T[];
  /** The same array from picture to picture, or every row is drawn again. */
  readonly columns: readonly Column<T>[];
  readonly keyOf: (row: T) => string;
  readonly open: (row: T) => void;
  readonly marked?: ReadonlySet<string> | undefined;
  readonly mark?: ((key: string) => void) | undefined;
  /** The last rows are in sight. */
  readonly atEnd?: (() => void) | undefined;
  /** Whether somebody points at rows or scrolled away from the first: then they should stay where they are. */
  readonly hold?: ((held: boolean) => void) | undefined;
}

/** Rows, of which only those in sight are in the page: fifty thousand cost as much as a screenful. */
export function DataTable<T>(props: DataTableProps<T>) {
  const { label, noun, rows, columns, keyOf, open, marked, mark, atEnd, hold } = props;
  const scroll = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<string | null>(null);
  const latest = useRef(rows);
  latest.current = rows;
  const sight = useInSight(scroll, rows.length);
  const last = sight.to - 1;
  useEffect(() => {
    if (rows.length > 0 && last >= rows.length - 1) atEnd?.();
  }, [last, rows.length, atEnd]);

  const step = (by: number) => {
    const now = rows.findIndex((row) => keyOf(row) === active);
    const next = Math.min(rows.length - 1, Math.max(0, now < 0 ? 0 : now + by));
    const row = rows[next];
    if (row === undefined) return;
    setActive(keyOf(row));
    sight.show(next);
  };
  const chosen = () => rows.find((row) => keyOf(row) === active);
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    x: () => active !== null && mark?.(active),
    o: () => {
      const row = chosen();
      if (row !== undefined) open(row);
    },
  });
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && event.target === scroll.current) {
      const row = chosen();
      if (row !== undefined) open(row);
    }
  };
  const pointed = useRef(false);
  const tell = () => hold?.(pointed.current || (scroll.current?.scrollTop ?? 0) > ROW_PX);
  const point = (over: boolean) => () => {
    pointed.current = over;
    tell();
  };
  const openKey = useCallback(
    (key: string) => {
      const row = latest.current.find((one) => keyOf(one) === key);
      if (row !== undefined) open(row);
    },
    [keyOf, open],
  );
  const above = sight.from * ROW_PX;
  const below = (rows.length - sight.to) * ROW_PX;
  const width = columns.length + (mark ? 1 : 0);
  return (
    <section
      className={`rows rows--${noun}`}
      ref={scroll}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
      tabIndex={0}
      aria-label={`${label}, rows`}
      onKeyDown={onKey}
      onScroll={tell}
      onPointerEnter={point(true)}
      onPointerLeave={point(false)}
    >
      <table className={`table table--${noun}`} aria-label={label} aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            {mark && (
              <th className="col-mark" scope="col">
                <span className="visually-hidden">Select</span>
              </th>
            )}
            {columns.map((column) => (
              <th key={column.key} className={column.className} scope="col">
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Spacer height={above} width={width} />
          {rows.slice(sight.from, sight.to).map((row, at) => {
            const key = keyOf(row);
            return (
              <Row
                key={key}
                id={key}
                row={row as unknown}
                index={sight.from + at}
                noun={noun}
                columns={columns as readonly Column<unknown>[]}
                active={key === active}
                marked={marked?.has(key) ?? false}
                mark={mark}
                open={openKey}
              />
            );
          })}
          <Spacer height={below} width={width} />
        </tbody>
      </table>
    </section>
  );
}

function Spacer({ height, width }: { height: number; width: number }) {
  if (height <= 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row is not focusable; this one only holds the height of rows out of sight.
    <tr aria-hidden="true" className="spacer">
      <td colSpan={width} style={{ height }} />
    </tr>
  );
}

interface RowProps {
  readonly id: string;
  readonly row: unknown;
  readonly index: number;
  readonly noun: string;
  readonly columns: readonly Column<unknown>[];
  readonly active: boolean;
  readonly marked: boolean;
  readonly mark: ((key: string) => void) | undefined;
  readonly open: (key: string) => void;
}

const Row = memo(function Row({ id, row, index, noun, columns, active, marked, mark, open }: RowProps) {
  const attribute = { [`data-${noun}`]: id };
  const classes = ["table__row", active && "table__row--active", marked && "table__row--marked"];
  return (
    <tr
      {...attribute}
      aria-rowindex={index + 2}
      className={classes.filter(Boolean).join(" ")}
      onClick={(event) => {
        if (!(event.target as Element).closest("a, button, input, label")) open(id);
      }}
    >
      {mark && (
        <td className="col-mark">
          <label>
            <span className="visually-hidden">Select {id}</span>
            <input type="checkbox" checked={marked} onChange={() => mark(id)} />
          </label>
        </td>
      )}
      {columns.map((column) => (
        <td key={column.key} className={column.className}>
          {column.cell(row)}
        </td>
      ))}
    </tr>
  );
});
