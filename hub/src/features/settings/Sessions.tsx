import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { SessionRecord } from "../../generated/wire";
import { useHub } from "../../hub";
import { moment } from "../../lib/time";
import { Data } from "../../ui/Data";
import { Panel } from "../../ui/Panel";
import { Ago } from "../../ui/Times";
import { Confirm } from "../tasks/BulkBar";

/** Most sessions shown at once; the newest first. */
const MOST = 100;

/** Who is logged in, with what, and since when. */
export function Sessions() {
  const { api } = useHub();
  const queries = useQueryClient();
  const list = useQuery({
    queryKey: ["sessions"],
    queryFn: ({ signal }) => api.sessions(signal),
    staleTime: 0,
  });
  const [ending, setEnding] = useState<SessionRecord | null>(null);
  const end = useMutation({
    mutationFn: (one: SessionRecord) => api.endSession(one.session_id),
    onSettled: () => queries.invalidateQueries({ queryKey: ["sessions"] }),
  });
  const failure = list.error ?? end.error;
  const all = list.data ?? [];
  return (
    <Panel id="sessions" title="Who is logged in" count={list.data?.length.toLocaleString()}>
      {failure && (
        <p role="alert" className="notice notice--bad">
          {failure.message}
        </p>
      )}
      <p role="status" className={end.isSuccess ? "panel__text quiet" : "visually-hidden"}>
        {end.isSuccess && (
          <>
            The session of <Data text={end.variables.peer_id} /> is over.
          </>
        )}
      </p>
      <table className="table table--sessions" aria-label="Sessions">
        <thead>
          <tr>
            <th scope="col">Who</th>
            <th scope="col">Role</th>
            <th scope="col" className="wide">
              By
            </th>
            <th scope="col" className="wide">
              Since
            </th>
            <th scope="col">
              <span className="visually-hidden">End</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {all.slice(0, MOST).map((one) => (
            <tr key={one.session_id} data-session={one.session_id}>
              <td>
                <Data text={one.peer_id} />
              </td>
              <td>{one.role}</td>
              <td className="wide">
                <Credential of={one} />
              </td>
              <td className="wide" title={`It ends by itself at ${moment(one.expires_ms)}`}>
                <Ago ms={one.began_ms} />
              </td>
              <td className="number">
                {one.is_own ? (
                  <span className="quiet">this one</span>
                ) : (
                  <button type="button" className="button" onClick={() => setEnding(one)}>
                    End<span className="visually-hidden"> the session of {one.peer_id}</span>
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {all.length > MOST && (
        <p className="panel__text quiet">and {(all.length - MOST).toLocaleString()} older ones</p>
      )}
      {ending && (
        <Confirm
          title={`End the session of ${ending.peer_id}?`}
          text="Its pages are logged out at once. Whoever has the credential may log in again: revoke the key to keep them out."
          yes="End it"
          close={() => setEnding(null)}
          then={() => {
            end.mutate(ending);
            setEnding(null);
          }}
        />
      )}
    </Panel>
  );
}

function Credential({ of }: { of: SessionRecord }) {
  if (of.credential === "password") return <>the password</>;
  if (of.credential === "first-login") return <>the first link</>;
  return <Data text={of.credential} mono />;
}
