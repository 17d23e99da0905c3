import type { OnboardingEntry } from "../../generated/wire";
import { moment } from "../../lib/time";
import { Copy } from "../../ui/Copy";
import { Data } from "../../ui/Data";
import { Detail } from "../../ui/Detail";
import { Fact, Facts } from "../../ui/Facts";

/** Everything that a newcomer said of itself, the whole key included. */
export function NewcomerDetail({ entry, close }: { entry: OnboardingEntry; close: () => void }) {
  return (
    <Detail title="Newcomer" close={close} record={entry} fileName={`newcomer-${entry.id}.json`}>
      <Facts>
        <Fact name="Name it gave">
          <Data text={entry.agent_name} />
        </Fact>
        <Fact name="Peer">
          <Data text={entry.peer_id} mono />
        </Fact>
        <Fact name="Stands">{entry.status.replaceAll("_", " ")}</Fact>
        <Fact name="Key">
          {entry.key ? (
            <>
              <Data text={entry.key} mono /> <Copy text={entry.key} what="key" />
            </>
          ) : (
            "none: an older client"
          )}
        </Fact>
        <Fact name="Asked">{moment(entry.created_at * 1000)}</Fact>
        <Fact name="Changed">{moment(entry.updated_at * 1000)}</Fact>
        <Fact name="Id">
          <Data text={entry.id} mono />
        </Fact>
      </Facts>
    </Detail>
  );
}
