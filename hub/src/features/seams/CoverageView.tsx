import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type DragEvent, useMemo, useState } from "react";
import { useHub } from "../../hub";
import {
  type Coverage,
  type CoverageRow,
  filterCoverage,
  MAX_COVERAGE_BYTES,
  readCoverage,
  sharesOf,
  tooLarge,
} from "../../lib/coverage";
import type { Shelf } from "../../lib/shelf";
import { duration, moment } from "../../lib/time";
import { CopyAs } from "../../ui/Copy";
import { Data } from "../../ui/Data";
import { Filter } from "../../ui/Filter";
import { Empty, Panel } from "../../ui/Panel";
import { CoverageTable, RowDetail } from "./CoverageTable";

const route = getRouteApi("/seams");

/** A measurement that somebody opened. */
interface Opened {
  readonly coverage: Coverage;
  readonly fileName: string;
  /** When the file was written, Unix milliseconds. */
  readonly atMs: number;
}

/** The last measurement of the tests, from the file that `cargo xtask seams --json` printed. */
export default function CoverageView() {
  const { shelf } = useHub();
  const [opened, setOpened] = useState(() => lastOf(shelf));
  const [failure, setFailure] = useState("");
  const take = async (file: File | null | undefined) => {
    if (!file) return;
    try {
      if (file.size > MAX_COVERAGE_BYTES) throw new Error(tooLarge(file.size));
      const text = await file.text();
      setOpened({ coverage: readCoverage(text), fileName: file.name, atMs: file.lastModified });
      setFailure("");
      shelf.write("coverage", { text, fileName: file.name, atMs: file.lastModified });
    } catch (error) {
      setFailure(`${file.name.slice(0, 200)}: ${error instanceof Error ? error.message : "cannot be read"}`);
    }
  };
  return (
    <div className="coverage">
      <Drop take={(file) => void take(file)} opened={opened} />
      {failure && (
        <p role="alert" className="notice notice--bad">
          <Data text={failure} />
        </p>
      )}
      {opened ? (
        <Measured coverage={opened.coverage} />
      ) : (
        <Empty title="No measurement was opened yet">
          <span>
            It says of every row of the ledger which tests hold it, and whether one fails when its consumer is
            deaf or its producer mute.
          </span>
        </Empty>
      )}
    </div>
  );
}

/** What was opened last in this browser, if it still reads. */
function lastOf(shelf: Shelf): Opened | null {
  const kept = shelf.read("coverage");
  if (typeof kept !== "object" || kept === null) return null;
  const { text, fileName, atMs } = kept as Record<string, unknown>;
  if (typeof text !== "string" || typeof fileName !== "string" || typeof atMs !== "number") return null;
  try {
    return { coverage: readCoverage(text), fileName, atMs };
  } catch {
    return null;
  }
}

interface DropProps {
  readonly take: (file: File | null | undefined) => void;
  readonly opened: Opened | null;
}

function Drop({ take, opened }: DropProps) {
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files.item(0));
  };
  return (
    <section
      aria-label="Open a measurement"
      className={over ? "drop drop--over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <label className="button">
        Open a file
        <input
          type="file"
          className="visually-hidden"
          accept=".json,.jsonl,.ndjson,.txt,application/json"
          onChange={(event) => {
            take(event.target.files?.item(0));
            // The same file, written anew, can be opened again.
            event.target.value = "";
          }}
        />
      </label>
      <span role="status">
        {opened ? (
          <>
            <Data text={opened.fileName} mono />, written {moment(opened.atMs)}
          </>
        ) : (
          "or drop it here: what this command printed"
        )}
      </span>
      <CopyAs cli="cargo xtask seams --json > seams.jsonl" about="measuring the seams" />
    </section>
  );
}

function Measured({ coverage }: { coverage: Coverage }) {
  const { q = "" } = route.useSearch();
  const navigate = useNavigate();
  const { rows, totals } = coverage;
  const fitting = useMemo(() => filterCoverage(rows, q), [rows, q]);
  const [open, setOpen] = useState<CoverageRow | null>(null);
  const holes = totals.holes.length;
  return (
    <>
      <dl className="shares">
        <div className="share">
          <dd className={holes > 0 ? "bad" : undefined}>{holes.toLocaleString()}</dd>
          <dt>{holes === 1 ? "hole" : "holes"}</dt>
        </div>
        {sharesOf(coverage).map(({ name, is, of }) => (
          <div className="share" key={name}>
            <dd>
              {is.toLocaleString()} <small>of {of.toLocaleString()}</small>
            </dd>
            <dt>{name}</dt>
          </div>
        ))}
        <div className="share">
          <dd>{totals.vectors.toLocaleString()}</dd>
          <dt>golden vectors</dt>
        </div>
      </dl>
      <Notes totals={totals} />
      <Panel
        id="coverage"
        title="Ledger"
        count={`${fitting.length.toLocaleString()} of ${rows.length.toLocaleString()} rows, measured in ${duration(totals.seconds * 1000)}`}
        tools={
          <Filter
            label="Filter by row or test"
            value={q}
            set={(text) => void navigate({ to: "/seams", search: { tab: "tests", q: text }, replace: true })}
          />
        }
      >
        {fitting.length > 0 ? (
          <CoverageTable rows={fitting} open={setOpen} />
        ) : (
          <Empty title="No row fits this filter" />
        )}
      </Panel>
      {open && <RowDetail row={open} close={() => setOpen(null)} />}
    </>
  );
}

function Notes({ totals }: { totals: Coverage["totals"] }) {
  return (
    <>
      {totals.undeclared.length > 0 && (
        <p className="notice notice--bad">
          Said in tests, but not in the ledger: <Data text={totals.undeclared.join(", ")} mono />
        </p>
      )}
      {totals.exceptions.map(({ row, why }) => (
        <p key={row} className="quiet">
          Without proof: <Data text={row} mono />: <Data text={why} />
        </p>
      ))}
    </>
  );
}
