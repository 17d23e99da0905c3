import { useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { useHub } from "../../hub";
import { frameRates, frameRows, metric, type Reading, ratesBetween, seamRows } from "../../lib/metrics";
import { duration } from "../../lib/time";
import { SEAM_TABS } from "../../lib/url";
import { Page } from "../../ui/Page";
import { Empty, Panel } from "../../ui/Panel";
import { Tabs } from "../../ui/Tabs";
import { Rest } from "./Rest";
import { Signaling, Stream } from "./Told";
import "./seams.css";

/** Counters of the registry worth a look, with what they mean. */
const COUNTERS = [
  ["seamesh_signaling_sockets", "signaling sockets open"],
  ["seamesh_signaling_sockets_overflowed_total", "cut for not reading"],
  ["seamesh_signaling_frames_refused_total", "frames refused"],
  ["seamesh_store_failures_total", "store failures"],
  ["seamesh_waits", "waits open"],
] as const;

/** Between two readings, milliseconds. */
const READ_EVERY_MS = 5_000;

interface Metrics {
  readonly text: string;
  readonly reading: Omit<Reading, "atMs">;
  /** The reading before this one. */
  readonly before: Reading | null;
}

const CoverageView = lazy(() => import("./CoverageView"));

const route = getRouteApi("/seams");
const NAMES = { live: "Live", tests: "Test coverage" } as const;

/** What crosses the registry's seams now, and which test holds each row of the ledger. */
export function SeamsPage() {
  const { tab = "live" } = route.useSearch();
  const navigate = useNavigate();
  return (
    <Page title="Seams">
      <Tabs
        label="Seams"
        tabs={SEAM_TABS.map((one) => [one, NAMES[one]] as const)}
        current={tab}
        choose={(next) => void navigate({ to: "/seams", search: { tab: next }, replace: true })}
      >
        {tab === "live" ? (
          <Live />
        ) : (
          <Suspense fallback={<p className="waiting">Loading the coverage…</p>}>
            <CoverageView />
          </Suspense>
        )}
      </Tabs>
    </Page>
  );
}

function Live() {
  const { api } = useHub();
  const queries = useQueryClient();
  // Metrics are read, not told: no event says that a counter went on. Only while the page is looked at.
  const { data, dataUpdatedAt, error, isFetching, refetch } = useQuery({
    queryKey: ["metrics"],
    queryFn: async ({ signal }): Promise<Metrics> => {
      const last = queries.getQueryState<Metrics>(["metrics"]);
      const before = last?.data ? { ...last.data.reading, atMs: last.dataUpdatedAt } : null;
      const text = await api.metrics(signal);
      return { text, reading: { rows: seamRows(text), frames: frameRows(text) }, before };
    },
    staleTime: 0,
    refetchInterval: READ_EVERY_MS,
    refetchIntervalInBackground: false,
  });
  const { rows = [], frames = [] } = data?.reading ?? {};
  const rates = useMemo(() => {
    if (!data?.before) return null;
    const now = { ...data.reading, atMs: dataUpdatedAt };
    return { rest: ratesBetween(data.before, now), frames: frameRates(data.before, now) };
  }, [data, dataUpdatedAt]);
  const spanMs = data?.before ? dataUpdatedAt - data.before.atMs : null;
  const over = spanMs === null ? "after the next reading" : `over the last ${duration(spanMs)}`;
  const empty = <Empty title={data === undefined ? "Reading…" : "Nothing was asked yet"} />;
  return (
    <div className="seams-live">
      {error && <p className="notice notice--bad">{error.message}</p>}
      <div className="seams-live__head">
        {data !== undefined && <Counters text={data.text} />}
        <button type="button" className="button" disabled={isFetching} onClick={() => void refetch()}>
          Read again
        </button>
      </div>
      <div className="seams">
        <Panel id="rest" title="REST" count={`${rows.length} routes in use since the registry was started`}>
          {rows.length > 0 ? <Rest rows={rows} rates={rates?.rest ?? new Map()} over={over} /> : empty}
        </Panel>
        <div className="seams__side">
          <Signaling rows={frames} rates={rates?.frames ?? new Map()} over={over} />
          <Stream />
        </div>
      </div>
    </div>
  );
}

function Counters({ text }: { text: string }) {
  return (
    <dl className="counters">
      {COUNTERS.map(([name, words]) => (
        <div key={name}>
          <dd>{metric(text, name)?.toLocaleString() ?? "–"}</dd>
          <dt>{words}</dt>
        </div>
      ))}
    </dl>
  );
}
