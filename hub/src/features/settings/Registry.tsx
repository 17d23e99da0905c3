import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { Allowance, Settings, TlsKind } from "../../generated/wire";
import * as wire from "../../generated/wire";
import { useHub } from "../../hub";
import { bytes } from "../../lib/bytes";
import { shortKey } from "../../lib/text";
import { age, duration } from "../../lib/time";
import { Copy } from "../../ui/Copy";
import { Data } from "../../ui/Data";
import { Fact, Facts } from "../../ui/Facts";
import { Panel } from "../../ui/Panel";

const TLS: Readonly<Record<TlsKind, string>> = {
  off: "off: plain HTTP",
  files: "on, with a certificate from files",
  self_made: "on, with a certificate of its own making",
};

/** How this registry was started. Nothing of it changes before it is started again. */
function useSettings() {
  const { api } = useHub();
  return useQuery({ queryKey: ["settings"], queryFn: ({ signal }) => api.settings(signal) });
}

/** A value in force, and what sets it when the registry is started. */
function InForce({ by, children }: { by: string; children: ReactNode }) {
  return (
    <>
      {children} <code className="set-by">{by}</code>
    </>
  );
}

/** What a query told, or why it did not. */
function told<T>(
  query: { data: T | undefined; error: Error | null },
  say: (data: T) => ReactNode,
): ReactNode {
  return query.data === undefined ? (query.error?.message ?? "…") : say(query.data);
}

export function Registry() {
  const { api } = useHub();
  const health = useQuery({ queryKey: ["health"], queryFn: ({ signal }) => api.health(signal) });
  const ice = useQuery({ queryKey: ["ice"], queryFn: ({ signal }) => api.iceConfig(signal) });
  const settings = useSettings();
  const servers = ice.data?.iceServers.flatMap((server) => server.urls) ?? [];
  return (
    <Panel id="registry" title="Registry">
      <Facts>
        <Fact name="Version">{told(health, (data) => data.version)}</Fact>
        <Fact name="TLS">
          <InForce by="--tls-cert">{told(settings, ({ tls }) => TLS[tls])}</InForce>
        </Fact>
        <Fact name="Root key">
          <InForce by="--root">
            {told(settings, ({ root_is_here }) =>
              root_is_here
                ? "in the registry's data directory"
                : "kept elsewhere: newcomers are let in with it",
            )}
          </InForce>
        </Fact>
        <Fact name="Its public half">
          {told(settings, ({ root }) => (
            <>
              <span className="mono">{shortKey(root)}</span> <Copy text={root} what="all of it" />
            </>
          ))}
        </Fact>
        <Fact name="STUN and TURN">
          <InForce by="--stun, --turn-url">
            {told(ice, () =>
              servers.length > 0 ? (
                <Data text={servers.join(", ")} mono />
              ) : (
                "none: links are made within the network"
              ),
            )}
          </InForce>
        </Fact>
        <Fact name="Keys from a file">
          <InForce by="--api-keys">{told(settings, (data) => (data.has_key_file ? "yes" : "no"))}</InForce>
        </Fact>
        <Fact name="Tokens in URLs">
          <InForce by="--compat-url-token">
            {told(settings, (data) => (data.takes_url_token ? "taken: they end up in logs" : "refused"))}
          </InForce>
        </Fact>
        <Fact name="Traces">
          <InForce by="--otlp">
            {told(settings, (data) => (data.tells_traces ? "told to a collector" : "told to nobody"))}
          </InForce>
        </Fact>
      </Facts>
      <p className="panel__text quiet">
        What is set by an option of <code>seamesh registry</code> changes with a restart.
      </p>
    </Panel>
  );
}

/** How long things are kept. */
export function Retention() {
  const settings = useSettings();
  return (
    <Panel id="retention" title="Retention">
      <Facts>
        <Fact name="Ended tasks">
          <InForce by="--keep-ended">{told(settings, (data) => age(data.keep_ended_s * 1000))}</InForce>
        </Fact>
        <Fact name="Events">{told(settings, (data) => `the last ${data.keep_events.toLocaleString()}`)}</Fact>
        <Fact name="Audit">for good</Fact>
        <Fact name="Database">
          {told(settings, ({ max_database_bytes: most }) =>
            most === undefined ? "as large as the disk" : `at most ${bytes(most)}`,
          )}
        </Fact>
        <Fact name="Session">{age(wire.SESSION_TTL_S * 1000)}</Fact>
        <Fact name="Token">{age(wire.TOKEN_TTL_S * 1000)}</Fact>
        <Fact name="Login link">{age(wire.LOGIN_LINK_TTL_S * 1000)}, used once</Fact>
        <Fact name="Invite">
          {age(wire.INVITE_TTL_S * 1000)} if not said, {age(wire.MAX_INVITE_TTL_S * 1000)} at most
        </Fact>
        <Fact name="Rotated key">
          {age(wire.KEY_OVERLAP_S * 1000)} if not said, {age(wire.MAX_KEY_OVERLAP_S * 1000)} at most
        </Fact>
        <Fact name="TURN credential">{age(wire.TURN_TTL_S * 1000)}</Fact>
      </Facts>
    </Panel>
  );
}

/** How much this registry takes of one caller, and what the mesh allows, as both ends of every channel know it. */
export function Limits() {
  const settings = useSettings();
  const rate = (of: (data: Settings) => Allowance) =>
    told(settings, (data) => {
      const { per_second, burst } = of(data);
      return `${per_second.toLocaleString()} a second, ${burst.toLocaleString()} at once`;
    });
  const most = (of: (data: Settings) => number) => told(settings, (data) => of(data).toLocaleString());
  return (
    <Panel id="limits" title="Limits">
      <h3 className="facts-head">Of one caller</h3>
      <Facts>
        <Fact name="Requests">{rate((data) => data.requests)}</Fact>
        <Fact name="Without credential">{rate((data) => data.open_requests)}</Fact>
        <Fact name="Signaling frames">{rate((data) => data.frames)}</Fact>
        <Fact name="Connections">{most((data) => data.connections_per_address)} from one address</Fact>
        <Fact name="Silent socket">cut after {told(settings, (data) => duration(data.socket_idle_ms))}</Fact>
      </Facts>
      <h3 className="facts-head">Of the registry</h3>
      <Facts>
        <Fact name="Tasks alive">{wire.MAX_LIVE_TASKS.toLocaleString()}</Fact>
        <Fact name="API keys">{most((data) => data.max_keys)}</Fact>
        <Fact name="Sessions">{most((data) => data.max_sessions)}</Fact>
      </Facts>
      <h3 className="facts-head">Of the mesh</h3>
      <Facts>
        <Fact name="Payload or result">{bytes(wire.MAX_PAYLOAD_BYTES)}</Fact>
        <Fact name="Artifact">{bytes(wire.MAX_ARTIFACT_BYTES)}</Fact>
        <Fact name="Question or answer">{bytes(wire.MAX_QUESTION_BYTES)}</Fact>
        <Fact name="Task lives for">
          {age(wire.DEFAULT_TTL_S * 1000)} if not said, {age(wire.MAX_TTL_S * 1000)} at most
        </Fact>
        <Fact name="Attempts">
          {wire.DEFAULT_MAX_ATTEMPTS} if not said, {wire.MAX_ATTEMPTS} at most
        </Fact>
        <Fact name="Delegation depth">{wire.MAX_DEPTH}</Fact>
        <Fact name="Asked for by one task">{wire.MAX_CHILDREN.toLocaleString()}</Fact>
        <Fact name="Agent is stale after">{duration(wire.STALE_AFTER_MS)}</Fact>
        <Fact name="Agent is offline after">{duration(wire.OFFLINE_AFTER_MS)}</Fact>
      </Facts>
    </Panel>
  );
}
