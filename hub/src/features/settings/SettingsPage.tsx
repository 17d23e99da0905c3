import { useMay } from "../../hub";
import { Page } from "../../ui/Page";
import { Panel } from "../../ui/Panel";
import { Invites, Password } from "./Joining";
import { Keys } from "./Keys";
import { Limits, Registry, Retention } from "./Registry";
import { Sessions } from "./Sessions";
import { You } from "./You";
import "./settings.css";

export function SettingsPage() {
  const admits = useMay("admit");
  return (
    <Page title="Settings">
      <div className="settings">
        <div>
          {admits && <Keys />}
          {admits && <Sessions />}
          {admits && <Invites />}
          {admits && <Password />}
          {!admits && (
            <Panel id="keys" title="Keys, sessions and invites">
              <p className="panel__text quiet">
                An admin makes keys and invites, decides who is in, and sees who is logged in.
              </p>
            </Panel>
          )}
        </div>
        <div>
          <You />
          <Registry />
          <Retention />
          <Limits />
        </div>
      </div>
    </Page>
  );
}
