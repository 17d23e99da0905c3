import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { EventRecord } from "../../generated/wire";
import { useHub, useMay, useMesh } from "../../hub";
import { EVENT_KINDS, filterEvents, joined, told } from "../../lib/events";
import { readPast } from "../../lib/past";
import { moment } from "../../lib/time";
import type { EventsSearch } from "../../lib/url";
import { Data } from "../../ui/Data";
import { type Column, DataTable } from "../../ui/DataTable";
import { Detail } from "../../ui/Detail";
import { Fact, Facts } from "../../ui/Facts";
import { Choices, Filter } from "../../ui/Filter";
import { AgentLink, TaskLink } from "../../ui/Links";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Panel";
import { save } from "../../ui/save";
import { useHeld } from "../../ui/use-held";

const route = getRouteApi("/events");
/** Events asked for at once from before the page was opened. */
const PAST = 1_000;
const keyOf = (record: EventRecord) => String(record.seq);

export function EventsPage() {
  const { log, seq } = useMesh();
  const search = route.useSearch();
  const navigate = useNavigate();
  const set = (change: Partial<EventsSearch>, replace = false) =>
    void navigate({ to: "/events", search: (before: EventsSearch) => ({ ...before, ...change }), replace });
  const past = usePast(log[0]?.seq ?? seq + 1);
  const all = useMemo(() => joined(past.events, log), [past.events, log]);
  const fitting = useMemo(() => [...filterEvents(all, search)].reverse(), [all, search]);
  const [held, setHeld] = useState(false);
  const rows = useHeld(fitting, held, keyOf);
  const [open, setOpen] = useState<EventRecord | null>(null);
  const admits = useMay("admit");
  return (
    <Page
      full
      title="Events"
      note={fitting.length.toLocaleString()}
      tools={
        <>
          {admits && (
            <Link to="/audit" className="link">
              Audit
            </Link>
          )}
          {past.more && (
            <button type="button" className="button" onClick={past.load} disabled={past.loading}>
              {past.loading ? "Loading…" : "Load earlier"}
            </button>
          )}
          <button
            type="button"
            className="button"
            disabled={fitting.length === 0}
            onClick={() =>
              save(
                "seamesh-events.jsonl",
                fitting
                  .map((one) => `${JSON.stringify(one)}\n`)
                  .reverse()
                  .join(""),
              )
            }
          >
            Export
          </button>
        </>
      }
    >
      <div className="bar">
        <Filter label="Filter by any text within" value={search.q ?? ""} set={(q) => set({ q }, true)} />
        <Choices
          label="Events by kind"
          choices={EVENT_KINDS.map((kind) => [kind, kind.replaceAll("_", " ")] as const)}
          current={search.kind}
          choose={(kind) => set({ kind })}
        />
      </div>
      {past.failure && <p className="notice notice--bad">{past.failure}</p>}
      {rows.rows.length > 0 ? (
        <DataTable
          label="Events"
          noun="event"
          rows={rows.rows}
          columns={COLUMNS}
          keyOf={keyOf}
          open={setOpen}
          hold={setHeld}
        />
      ) : (
        <Empty
          title={all.length > 0 ? "No event fits this filter" : "Nothing happened since this page was opened"}
        >
          {past.more && <span>Earlier ones can be loaded.</span>}
        </Empty>
      )}
      {open && (
        <Detail
          title={`Event ${open.seq}`}
          close={() => setOpen(null)}
          record={open}
          fileName={`event-${open.seq}.json`}
        >
          <Facts>
            <Fact name="Kind">{open.event.type.replaceAll("_", " ")}</Fact>
            <Fact name="When">{moment(open.at_ms)}</Fact>
            <Fact name="What happened">
              <What record={open} />
            </Fact>
          </Facts>
        </Detail>
      )}
    </Page>
  );
}

const COLUMNS: readonly Column<EventRecord>[] = [
  { key: "seq", head: "Number", className: "col-seq number", cell: (record) => record.seq },
  { key: "at", head: "When", className: "col-when wide", cell: (record) => moment(record.at_ms) },
  {
    key: "kind",
    head: "Kind",
    className: "col-kind wide",
    cell: (record) => record.event.type.replaceAll("_", " "),
  },
  { key: "what", head: "What happened", className: "col-what", cell: (record) => <What record={record} /> },
];

function What({ record }: { record: EventRecord }) {
  const { what, task, agents } = told(record);
  return (
    <>
      {agents.map((agent) => (
        <span key={agent}>
          <AgentLink id={agent} />{" "}
        </span>
      ))}
      <Data text={what} /> {task && <TaskLink id={task} />}
    </>
  );
}

interface Past {
  readonly events: readonly EventRecord[];
  readonly load: () => void;
  readonly loading: boolean;
  readonly more: boolean;
  readonly failure: string | null;
}

/** Events from before `firstSeq`, the first that the page saw by itself. */
function usePast(firstSeq: number): Past {
  const { api } = useHub();
  const [events, setEvents] = useState<readonly EventRecord[]>([]);
  const [loading, setLoading] = useState(false);
  const [gone, setGone] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const before = events[0]?.seq ?? firstSeq;
  const load = () => {
    setLoading(true);
    readPast(api, Math.max(0, before - 1 - PAST), before)
      .then(
        (read) => {
          setFailure(null);
          if (read === "gone") setGone(true);
          else setEvents((known) => joined(read, known));
        },
        (error: Error) => setFailure(`Earlier events could not be loaded: ${error.message}`),
      )
      .finally(() => setLoading(false));
  };
  return { events, load, loading, more: !gone && before > 1, failure };
}
