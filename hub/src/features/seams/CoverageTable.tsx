import { type CoverageRow, type HARMFUL, type HARMLESS, saidOf } from "../../lib/coverage";
import { Data } from "../../ui/Data";
import { Detail } from "../../ui/Detail";
import { Fact, Facts } from "../../ui/Facts";

/** Each fault as the head of its column, and what it does to a row. */
const FAULTS = [
  ["deaf", "deaf", "The consumer reads the message and does nothing: a test must fail"],
  ["mute", "mute", "The producer does not send it: a test must fail"],
  ["twice", "twice", "The consumer gets it twice: every test must pass"],
  ["late", "late", "The consumer stops for 60 ms before it: every test must pass"],
  ["reorder", "reorder", "Its connection waits for 60 ms, others go on: every test must pass"],
  ["reconnect", "reconnect", "Its connection ends right after it: every test must pass"],
  ["restart", "restart", "A test passes in which an end of it was killed and started again"],
] as const satisfies readonly (readonly [(typeof HARMFUL | typeof HARMLESS)[number], string, string])[];

/** Most tests named in a row's detail; the whole list is behind its other tab. */
const MOST_TESTS = 100;

interface CoverageTableProps {
  readonly rows: readonly CoverageRow[];
  readonly open: (row: CoverageRow) => void;
}

export function CoverageTable({ rows, open }: CoverageTableProps) {
  return (
    <div className="scroll-x">
      <table className="table table--coverage" aria-label="Coverage of the ledger">
        <thead>
          <tr>
            <th scope="col">Row</th>
            <th scope="col">From, to</th>
            <th scope="col" className="number" title="Golden messages that are accepted, and refused">
              Vectors
            </th>
            <th scope="col" className="number">
              Tests
            </th>
            {FAULTS.map(([verb, head, meaning]) => (
              <th key={verb} scope="col" title={meaning}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id} data-row={row.id}>
              <td>
                <button type="button" className="link" onClick={() => open(row)}>
                  <Data text={`${row.channel} ${row.kind}`} mono />
                </button>
              </td>
              <td>
                <Data text={`${row.producer} → ${row.consumer}`} />
              </td>
              <td className="number">
                {row.accepted}/{row.refused}
              </td>
              <td className={row.tests.length > 0 ? "number" : "number bad"}>{row.tests.length}</td>
              {FAULTS.map(([verb]) => {
                const said = saidOf(row, verb);
                return (
                  <td key={verb} className={said && !said.good ? "bad" : "good"}>
                    {said?.word ?? "–"}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One row: which test noticed what, and every test that exercises it. */
export function RowDetail({ row, close }: { row: CoverageRow; close: () => void }) {
  return (
    <Detail title="Row of the ledger" close={close} record={row} fileName="seam-row.json">
      <Facts>
        <Fact name="Row">
          <Data text={row.id} mono />
        </Fact>
        {FAULTS.map(([verb, head, meaning]) => {
          const said = saidOf(row, verb);
          const test = row.verdicts[verb]?.test;
          return (
            <Fact key={verb} name={head}>
              <span title={meaning} className={said && !said.good ? "bad" : undefined}>
                {said?.word ?? "not planted"}
              </span>
              {test && (
                <>
                  {" by "}
                  <Data text={test} mono />
                </>
              )}
            </Fact>
          );
        })}
        <Fact name={row.tests.length === 1 ? "Test" : `${row.tests.length} tests`}>
          <ul className="tests">
            {row.tests.slice(0, MOST_TESTS).map((test) => (
              <li key={test}>
                <Data text={test} mono />
              </li>
            ))}
          </ul>
        </Fact>
      </Facts>
    </Detail>
  );
}
