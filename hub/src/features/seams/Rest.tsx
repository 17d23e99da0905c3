import type { SeamRate, SeamRow } from "../../lib/metrics";
import { duration } from "../../lib/time";

interface RestProps {
  readonly rows: readonly SeamRow[];
  readonly rates: ReadonlyMap<string, SeamRate>;
  /** What the rates are over. */
  readonly over: string;
}

/** The routes in use. */
export function Rest({ rows, rates, over }: RestProps) {
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
                {perSecond(rate(row)?.perSecond)}
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

export function perSecond(rate: number | undefined): string {
  return rate === undefined ? "–" : `${rate.toLocaleString(undefined, { maximumFractionDigits: 1 })}/s`;
}

function share(rate: SeamRate | undefined): string {
  return rate?.badShare == null ? "–" : `${(rate.badShare * 100).toFixed(rate.badShare < 0.1 ? 1 : 0)} %`;
}
