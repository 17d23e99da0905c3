import { useMemo } from "react";
import { useMesh } from "../../hub";
import { EVENT_KINDS } from "../../lib/events";
import type { FrameRow } from "../../lib/metrics";
import { Data } from "../../ui/Data";
import { Empty, Panel } from "../../ui/Panel";
import { perSecond } from "./Rest";

interface SignalingProps {
  readonly rows: readonly FrameRow[];
  readonly rates: ReadonlyMap<string, number>;
  /** What the rates are over. */
  readonly over: string;
}

/** What sidecars say on their signaling sockets. */
export function Signaling({ rows, rates, over }: SignalingProps) {
  return (
    <Panel id="signaling" title="Signaling" count="from sidecars">
      {rows.length === 0 ? (
        <Empty title="No sidecar said anything yet" />
      ) : (
        <table className="table table--signaling" aria-label="Signaling seams">
          <thead>
            <tr>
              <th scope="col">Kind</th>
              <th scope="col" className="number" title={over}>
                Now
              </th>
              <th scope="col" className="number">
                Frames
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ kind, frames }) => (
              <tr key={kind}>
                <td>
                  <Data text={kind} mono />
                </td>
                <td className="number">{perSecond(rates.get(kind))}</td>
                <td className="number">{frames.toLocaleString()}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

/** The kinds of the event stream, counted as they reach this page. */
export function Stream() {
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
