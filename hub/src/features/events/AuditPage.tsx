import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { AuditRecord } from "../../generated/wire";
import { MAX_PAGE } from "../../generated/wire";
import { useHub, useMay } from "../../hub";
import { browserHash, checkChain, filterAudit } from "../../lib/audit";
import { COMMANDS } from "../../lib/snippets";
import { moment } from "../../lib/time";
import type { AuditSearch } from "../../lib/url";
import { CopyAs } from "../../ui/Copy";
import { Data } from "../../ui/Data";
import { type Column, DataTable } from "../../ui/DataTable";
import { Detail } from "../../ui/Detail";
import { Fact, Facts } from "../../ui/Facts";
import { Filter } from "../../ui/Filter";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Panel";
import { save } from "../../ui/save";
import { useHeld } from "../../ui/use-held";

const route = getRouteApi("/audit");
const keyOf = (record: AuditRecord) => String(record.n);

/** Who decided what about who may be in and do what: for administrators. */
export function AuditPage() {
  if (!useMay("admit")) {
    return (
      <Page title="Audit">
        <Empty title="An admin reads the audit" />
      </Page>
    );
  }
  return <Audit />;
}

function Audit() {
  const { api } = useHub();
  const search = route.useSearch();
  const navigate = useNavigate();
  const set = (change: Partial<AuditSearch>, replace = false) =>
    void navigate({ to: "/audit", search: (before: AuditSearch) => ({ ...before, ...change }), replace });
  const pages = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: ({ signal, pageParam }) =>
      api.audit(
        { newest: true, limit: MAX_PAGE, ...(pageParam === null ? {} : { after: pageParam }) },
        signal,
      ),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next_after ?? null,
    staleTime: 0,
  });
  const all = useMemo(() => pages.data?.pages.flatMap((page) => page.records) ?? [], [pages.data]);
  const fitting = useMemo(() => filterAudit(all, search), [all, search]);
  const actions = useMemo(() => [...new Set(all.map((record) => record.action))].sort(), [all]);
  const [held, setHeld] = useState(false);
  const rows = useHeld(fitting, held, keyOf);
  const [open, setOpen] = useState<AuditRecord | null>(null);
  return (
    <Page
      full
      title="Audit"
      note={`${fitting.length.toLocaleString()}${pages.hasNextPage ? "+" : ""}`}
      tools={
        <>
          <Link to="/events" className="link">
            Events
          </Link>
          <CopyAs cli={COMMANDS.auditExport} about="reading the audit" />
          <button
            type="button"
            className="button"
            disabled={pages.isFetching}
            onClick={() => void pages.refetch()}
          >
            Read again
          </button>
          {pages.hasNextPage && (
            <button
              type="button"
              className="button"
              disabled={pages.isFetching}
              onClick={() => void pages.fetchNextPage()}
            >
              Load earlier
            </button>
          )}
          <button
            type="button"
            className="button"
            disabled={fitting.length === 0}
            onClick={() => save("seamesh-audit.jsonl", lines(fitting))}
          >
            Export
          </button>
        </>
      }
    >
      <div className="bar">
        <Filter
          label="Filter by who, about what or why"
          value={search.q ?? ""}
          set={(q) => set({ q }, true)}
        />
        <label className="moment-field">
          decision
          <select
            className="input"
            value={search.action ?? ""}
            onChange={(event) => set({ action: event.target.value || undefined })}
          >
            <option value="">all</option>
            {[...new Set([...actions, ...(search.action ? [search.action] : [])])].map((action) => (
              <option key={action} value={action}>
                {words(action)}
              </option>
            ))}
          </select>
        </label>
        {all.length > 0 && <Verified records={all} whole={!pages.hasNextPage} />}
      </div>
      {pages.error && (
        <p role="alert" className="notice notice--bad">
          {pages.error.message}
        </p>
      )}
      {rows.rows.length > 0 ? (
        <DataTable
          label="Audit"
          noun="audit"
          rows={rows.rows}
          columns={COLUMNS}
          keyOf={keyOf}
          open={setOpen}
          hold={setHeld}
        />
      ) : (
        <Empty title={emptyWords(pages.isPending, all.length)}>
          {pages.hasNextPage && <span>Earlier ones can be loaded.</span>}
        </Empty>
      )}
      {open && (
        <Detail
          title={`Decision ${open.n}`}
          close={() => setOpen(null)}
          record={open}
          fileName={`audit-${open.n}.json`}
        >
          <DecisionFacts record={open} />
        </Detail>
      )}
    </Page>
  );
}

/** Whether the records are those that the registry once wrote, each after the one before. */
function Verified({ records, whole }: { records: readonly AuditRecord[]; whole: boolean }) {
  const hash = browserHash(globalThis.crypto?.subtle);
  const checked = useQuery({
    queryKey: ["audit", "checked", records.length, records[0]?.hash, records.at(-1)?.hash],
    queryFn: () => (hash ? checkChain(records, hash) : null),
    enabled: hash !== null,
  });
  if (!hash) {
    return (
      <span className="quiet">
        Not checked: a page over plain HTTP has no SHA-256. <code>seamesh audit verify</code> checks it.
      </span>
    );
  }
  if (checked.error) return <span className="bad">Not checked: {checked.error.message}</span>;
  if (checked.data === undefined) return <span className="quiet">Checking…</span>;
  if (checked.data) {
    return (
      <strong role="alert" className="bad">
        Broken: record {checked.data.n} {checked.data.why}
      </strong>
    );
  }
  const extent = whole ? "from the first record on" : `from record ${records.at(-1)?.n} on`;
  return (
    <span className="quiet">
      The chain is whole, {extent} <CopyAs cli={COMMANDS.auditVerify} about="verifying the audit" />
    </span>
  );
}

function DecisionFacts({ record }: { record: AuditRecord }) {
  return (
    <Facts>
      <Fact name="Decision">
        <Data text={words(record.action)} />
      </Fact>
      <Fact name="When">{moment(record.at_ms)}</Fact>
      <Fact name="By">
        <Data text={record.by || "somebody unknown"} />
        {record.role && `, ${record.role}`}
      </Fact>
      {record.credential && (
        <Fact name="Credential">
          <Data text={record.credential} mono />
        </Fact>
      )}
      {record.from && (
        <Fact name="From">
          <Data text={record.from} mono />
        </Fact>
      )}
      {record.about && (
        <Fact name="About">
          <Data text={record.about} mono />
        </Fact>
      )}
      {record.detail && (
        <Fact name="More">
          <Data text={record.detail} />
        </Fact>
      )}
      <Fact name="Hash">
        <Data text={record.hash} mono />
      </Fact>
      <Fact name="Hash before">
        <Data text={record.prev} mono />
      </Fact>
    </Facts>
  );
}

function emptyWords(pending: boolean, known: number): string {
  if (pending) return "Reading…";
  return known > 0 ? "No decision fits this filter" : "Nothing was decided yet";
}

function words(action: string): string {
  return action.replaceAll("_", " ");
}

/** Oldest first, one a line: as `seamesh audit verify` reads it. */
function lines(newestFirst: readonly AuditRecord[]): string {
  return newestFirst
    .map((record) => `${JSON.stringify(record)}\n`)
    .reverse()
    .join("");
}

const COLUMNS: readonly Column<AuditRecord>[] = [
  { key: "n", head: "Number", className: "col-seq number", cell: (record) => record.n },
  { key: "at", head: "When", className: "col-when wide", cell: (record) => moment(record.at_ms) },
  {
    key: "action",
    head: "Decision",
    className: "col-kind",
    cell: (record) => <Data text={words(record.action)} />,
  },
  {
    key: "by",
    head: "By",
    className: "col-kind wide",
    cell: (record) =>
      record.by ? <Data text={record.by} /> : <span className="quiet">somebody unknown</span>,
  },
  {
    key: "from",
    head: "From",
    className: "col-kind wide",
    cell: (record) => <Data text={record.from} mono />,
  },
  {
    key: "what",
    head: "About",
    className: "col-what",
    cell: (record) => <Data text={[record.about, record.detail].filter(Boolean).join(": ")} />,
  },
];
