import { useLive } from "../../hub";
import type { Connection } from "../../lib/live";
import { Age } from "../../ui/Times";

/** What a person should know before reading on: how old the page is, and whether it may be seen at all. */
export function Notices() {
  const { mesh, connection } = useLive();
  return (
    <div className="notices" role="status">
      {connection.phase === "cut" && <Stale connection={connection} loaded={mesh !== null} />}
      {connection.phase === "forbidden" && (
        <p className="notice notice--bad">
          <strong>This login may not watch the mesh.</strong>{" "}
          <span>
            {connection.detail} Log out, and in again with the key of a viewer, an operator or an admin.
          </span>
        </p>
      )}
    </div>
  );
}

function Stale({ connection, loaded }: { connection: Connection & { phase: "cut" }; loaded: boolean }) {
  return (
    <p className="notice notice--warn">
      <strong>
        {loaded ? (
          <>
            This page is{" "}
            <span aria-live="off" data-testid="stale-age">
              <Age ms={connection.sinceMs} />
            </span>{" "}
            old.
          </>
        ) : (
          "The mesh cannot be shown yet."
        )}
      </strong>{" "}
      <span>{connection.reason} It is tried again by itself.</span>
    </p>
  );
}
