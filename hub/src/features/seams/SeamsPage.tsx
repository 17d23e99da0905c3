import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useHub, useMesh } from "../../hub";
import { EVENT_KINDS } from "../../lib/events";
import { metric, type Reading, ratesBetween, type SeamRate, type SeamRow, seamRows } from "../../lib/metrics";
import { duration } from "../../lib/time";
import { Page } from "../../ui/Page";
import { Empty, Panel } from "../../ui/Panel";
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
  readonly rows: readonly SeamRow[];
  /** The reading before this one. */
  readonly before: Reading | null;
}

/** What crosses the registry's seams: each row of the ledger's REST channel, and of the event stream. */
export function SeamsPage() {
  const { api } = useHub();
  const queries = useQueryClient();
  // Metrics are read, not told: no event says that a counter went on. Only while the page is looked at.
  const { data, dataUpdatedAt, error, isFetching, refetch } = useQuery({
    queryKey: ["metrics"],
    queryFn: async ({ signal }): Promise<Metrics> => {
      const last = queries.getQueryState<Metrics>(["metrics"]);
      const before = last?.data ? { rows: last.data.rows, atMs: last.dataUpdatedAt } : null;
      const text = await api.metrics(signal);
      return { text, rows: seamRows(text), before };
    },
    staleTime: 0,
    refetchInterval: READ_EVERY_MS,
  });
  const rows = data?.rows ?? [];
  const rates = useMemo(
    () => (data?.before ? ratesBetween(data.before, { rows: data.rows, atMs: dataUpdatedAt }) : new Map()),
    [data, dataUpdatedAt],
  );
  const spanMs = data?.before ? dataUpdatedAt - data.before.atMs : null;
  return (
    <Page
      title="Seams"
      note="since the registry was started"
      tools={
        <button type="button" className="button" disabled={isFetching} onClick={() => void refetch()}>
          Read again
        </button>
      }
    >
      {error && <p className="notice notice--bad">{error.message}</p>}
      {data !== undefined && <Counters text={data.text} />}
      <div className="seams">
        <Panel id="rest" title="REST" count={`${rows.length} routes in use`}>
          {rows.length > 0 ? (
            <Rest rows={rows} rates={rates} spanMs={spanMs} />
          ) : (
            <Empty title={data === undefined ? "Reading…" : "Nothing was asked yet"} />
          )}
        </Panel>
        <Stream />
      </div>
      <p className="quiet">
        Which test holds each row, and whether it is noticed when its consumer is deaf to it:{" "}
        <code>cargo xtask seams</code>
      </p>
    </Page>
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

interface RestProps {
  readonly rows: readonly SeamRow[];
  readonly rates: ReadonlyMap<string, SeamRate>;
  /** What the rates are over; `null` before the second reading. */
  readonly spanMs: number | null;
}

function Rest({ rows, rates, spanMs }: RestProps) {
  const over = spanMs === null ? "after the next reading" : `over the last ${duration(spanMs)}`;
  const rate = (row: SeamRow) => rates.get(row.operation);
  const ms = (value: number | null) => (value === null ? "–" : duration(value));
  return (
    <div className="scroll-x">
      <table className="table table--seams" aria-label="REST seams">
        <thead>
          <tr>
            <th scope="col">Route</th>
            <th scope="col" className="number" title={over}>
              Now
            </th>
            <th scope="col" className="number" title={over}>
              Errors now
            </th>
            <th scope="col" className="number" title={over}>
              Mean now
            </th>
            <th scope="col" className="number">
              Requests
            </th>
            <th scope="col" className="number">
              Refused
            </th>
            <th scope="col" className="number">
              Failed
            </th>
            <th scope="col" className="number">
              Mean
            </th>
            <th scope="col" className="number">
              p95 within
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.operation}>
              <td className="mono" title={row.operation}>
                {row.route}
              </td>
              <td className="number" data-now>
                {perSecond(rate(row))}
              </td>
              <td className="number">{share(rate(row))}</td>
              <td className="number">{ms(rate(row)?.meanMs ?? null)}</td>
              <td className="number">{row.requests.toLocaleString()}</td>
              <td className="number">{row.refused.toLocaleString()}</td>
              <td className={row.failed > 0 ? "number bad" : "number"}>{row.failed.toLocaleString()}</td>
              <td className="number">{ms(row.meanMs)}</td>
              <td className="number">{ms(row.p95Ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function perSecond(rate: SeamRate | undefined): string {
  return rate ? `${rate.perSecond.toLocaleString(undefined, { maximumFractionDigits: 1 })}/s` : "–";
}

function share(rate: SeamRate | undefined): string {
  return rate?.badShare == null ? "–" : `${(rate.badShare * 100).toFixed(rate.badShare < 0.1 ? 1 : 0)} %`;
}

/** The kinds of the event stream, counted as they reach this page. */
function Stream() {
  const { log } = useMesh();
  const counts = useMemo(() => {
    const by = new Map<string, number>();
    for (const { event } of log) by.set(event.type, (by.get(event.type) ?? 0) + 1);
    return by;
  }, [log]);
  return (
    <Panel id="stream" title="Event stream" count="as this page saw it">
      <table className="table table--stream" aria-label="Event stream seams">
        <thead>
          <tr>
            <th scope="col">Kind</th>
            <th scope="col" className="number">
              Of the last {log.length.toLocaleString()}
            </th>
          </tr>
        </thead>
        <tbody>
          {EVENT_KINDS.map((kind) => (
            <tr key={kind}>
              <td className="mono">{kind}</td>
              <td className="number">{(counts.get(kind) ?? 0).toLocaleString()}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
