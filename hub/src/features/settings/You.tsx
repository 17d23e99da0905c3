import { useState } from "react";
import * as wire from "../../generated/wire";
import { useHub, useWho } from "../../hub";
import { age } from "../../lib/time";
import { Data } from "../../ui/Data";
import { Fact, Facts } from "../../ui/Facts";
import { Panel } from "../../ui/Panel";

/** Who looks, and in which colours. */
export function You() {
  const { session } = useWho();
  const { shelf } = useHub();
  const [scheme, setScheme] = useState(() => String(shelf.read("scheme") ?? "system"));
  const choose = (next: string) => {
    setScheme(next);
    shelf.write("scheme", next);
    if (next === "system") delete document.documentElement.dataset.scheme;
    else document.documentElement.dataset.scheme = next;
  };
  return (
    <Panel id="session" title="You">
      <Facts>
        <Fact name="Logged in as">
          <Data text={session.peer_id} />
        </Fact>
        <Fact name="Role">{session.role}</Fact>
        <Fact name="Sessions live">{age(wire.SESSION_TTL_S * 1000)}</Fact>
        <Fact name="Colours">
          <select
            className="input"
            aria-label="Colours"
            value={scheme}
            onChange={(event) => choose(event.target.value)}
          >
            <option value="system">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </Fact>
      </Facts>
    </Panel>
  );
}
