import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { KeyRecord, Role } from "../../generated/wire";
import * as wire from "../../generated/wire";
import { useHub, useMay, useWho } from "../../hub";
import { age, duration, moment } from "../../lib/time";
import { Data } from "../../ui/Data";
import { Fact, Facts } from "../../ui/Facts";
import { Page } from "../../ui/Page";
import { Panel } from "../../ui/Panel";
import { Secret } from "../../ui/Secret";
import { Confirm } from "../tasks/BulkBar";
import "./settings.css";

const ROLES: readonly (readonly [Role, string])[] = [
  ["agent", "acts as one agent"],
  ["viewer", "sees everything, changes nothing"],
  ["operator", "submits, cancels and steers work"],
  ["admin", "decides who is in"],
];

export function SettingsPage() {
  const admits = useMay("admit");
  return (
    <Page title="Settings">
      <div className="settings">
        <div>
          {admits && <Keys />}
          {admits && <Invites />}
          {admits && <Password />}
          {!admits && (
            <Panel id="keys" title="Keys and invites">
              <p className="panel__text quiet">An admin makes keys and invites, and decides who is in.</p>
            </Panel>
          )}
        </div>
        <div>
          <Session />
          <Registry />
          <Limits />
          <Options />
        </div>
      </div>
    </Page>
  );
}

function Keys() {
  const { api } = useHub();
  const queries = useQueryClient();
  const list = useQuery({ queryKey: ["keys"], queryFn: ({ signal }) => api.keys(signal), staleTime: 0 });
  const [peer, setPeer] = useState("");
  const [role, setRole] = useState<Role>("agent");
  const [ending, setEnding] = useState<KeyRecord | null>(null);
  const again = () => queries.invalidateQueries({ queryKey: ["keys"] });
  const create = useMutation({
    mutationFn: () => api.createKey({ peer_id: peer.trim(), role }),
    onSuccess: () => {
      setPeer("");
      void again();
    },
  });
  const revoke = useMutation({ mutationFn: (id: string) => api.revokeKey(id), onSuccess: again });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (peer.trim()) create.mutate();
  };
  const failure = list.error ?? create.error ?? revoke.error;
  return (
    <Panel id="keys" title="API keys" count={list.data?.length}>
      {failure && (
        <p role="alert" className="notice notice--bad">
          {failure.message}
        </p>
      )}
      <form className="inline-form" onSubmit={submit} aria-label="Make a key">
        <div className="field">
          <label htmlFor="key-peer">Whom it names</label>
          <input
            id="key-peer"
            className="input"
            maxLength={wire.MAX_ID_BYTES}
            spellCheck={false}
            value={peer}
            onChange={(event) => setPeer(event.target.value)}
          />
        </div>
        <div className="field">
          <label htmlFor="key-role">Role</label>
          <select
            id="key-role"
            className="input"
            value={role}
            onChange={(event) => setRole(event.target.value as Role)}
          >
            {ROLES.map(([name, what]) => (
              <option key={name} value={name}>
                {name}: {what}
              </option>
            ))}
          </select>
        </div>
        <button type="submit" className="button button--primary" disabled={create.isPending || !peer.trim()}>
          Make a key
        </button>
      </form>
      {create.data && (
        <Secret
          what={`The key of ${create.data.peer_id}`}
          secret={create.data.api_key}
          note="It is shown this once, and kept hashed."
        />
      )}
      <table className="table table--keys" aria-label="API keys">
        <thead>
          <tr>
            <th scope="col">Names</th>
            <th scope="col">Role</th>
            <th scope="col" className="wide">
              Made
            </th>
            <th scope="col">
              <span className="visually-hidden">End</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {(list.data ?? []).map((key) => (
            <tr key={key.key_id} data-key={key.key_id}>
              <td>
                <Data text={key.peer_id} />
              </td>
              <td>{key.role}</td>
              <td className="wide">{moment(key.created_ms)}</td>
              <td className="number">
                <button type="button" className="button" onClick={() => setEnding(key)}>
                  Revoke<span className="visually-hidden"> the key of {key.peer_id}</span>
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {ending && (
        <Confirm
          title={`Revoke the key of ${ending.peer_id}?`}
          text="What it opened is closed at once. This cannot be undone."
          yes="Revoke it"
          close={() => setEnding(null)}
          then={() => {
            revoke.mutate(ending.key_id);
            setEnding(null);
          }}
        />
      )}
    </Panel>
  );
}

function Invites() {
  const { api } = useHub();
  const invite = useMutation({ mutationFn: () => api.invite() });
  return (
    <Panel id="invites" title="Invites">
      <div className="panel__text">
        <p>An invite lets one newcomer ask to join. It then waits in the inbox for approval.</p>
        <button type="button" className="button" disabled={invite.isPending} onClick={() => invite.mutate()}>
          Make an invite
        </button>
        {invite.error && (
          <p role="alert" className="field__problem">
            {invite.error.message}
          </p>
        )}
      </div>
      {invite.data && (
        <Secret
          what="The invite's code"
          secret={invite.data.code}
          note={`It is good once, for ${age(invite.data.expires_in * 1000)}.`}
        />
      )}
    </Panel>
  );
}

/** The administrator's password. */
function Password() {
  const { api } = useHub();
  const [password, setPassword] = useState("");
  const bytes = new TextEncoder().encode(password).length;
  const isGood = bytes >= wire.MIN_PASSWORD_BYTES && bytes <= wire.MAX_PASSWORD_BYTES;
  const change = useMutation({
    mutationFn: () => api.setPassword({ password }),
    onSuccess: () => setPassword(""),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isGood) change.mutate();
  };
  return (
    <Panel id="password" title="Administrator's password">
      <form className="inline-form" onSubmit={submit} aria-label="Change the password">
        <div className="field">
          <label htmlFor="password-new">New password</label>
          <input
            id="password-new"
            className="input"
            type="password"
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </div>
        <button type="submit" className="button" disabled={change.isPending || !isGood}>
          Change it
        </button>
      </form>
      {change.error && (
        <p role="alert" className="notice notice--bad">
          {change.error.message}
        </p>
      )}
      <p className="panel__text quiet" role="status">
        {change.isSuccess
          ? "It is changed."
          : `At least ${wire.MIN_PASSWORD_BYTES} characters. Sessions that were opened with the old one end.`}
      </p>
    </Panel>
  );
}

/** What the registry is told when it is started, and how. */
const OPTIONS = [
  ["How long ended tasks are kept", "--keep-ended", "SEAMESH_KEEP_ENDED"],
  ["STUN servers told to sidecars", "--stun", "SEAMESH_STUN"],
  ["TURN server told to sidecars", "--turn-url", "SEAMESH_TURN_URL"],
  ["Keys kept in a file", "--api-keys", "SEAMESH_API_KEYS"],
  ["Certificate", "--tls-cert", "SEAMESH_TLS_CERT"],
  ["Collector of traces", "--otlp", "SEAMESH_OTLP"],
] as const;

function Options() {
  return (
    <Panel id="options" title="Set at the registry's start">
      <Facts>
        {OPTIONS.map(([what, option, variable]) => (
          <Fact key={option} name={what}>
            <code>{option}</code> or <code>{variable}</code>
          </Fact>
        ))}
      </Facts>
      <p className="panel__text quiet">
        Options of <code>seamesh registry</code>: a change takes a restart. Limits are the mesh's own, the
        same for every registry.
      </p>
    </Panel>
  );
}

function Session() {
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

function Registry() {
  const { api } = useHub();
  const health = useQuery({ queryKey: ["health"], queryFn: ({ signal }) => api.health(signal) });
  const ice = useQuery({ queryKey: ["ice"], queryFn: ({ signal }) => api.iceConfig(signal) });
  const servers = ice.data?.iceServers.flatMap((server) => server.urls) ?? [];
  return (
    <Panel id="registry" title="Registry">
      <Facts>
        <Fact name="Version">{health.data?.version ?? health.error?.message ?? "…"}</Fact>
        <Fact name="STUN and TURN">
          {!ice.data ? (
            (ice.error?.message ?? "…")
          ) : servers.length > 0 ? (
            <Data text={servers.join(", ")} mono />
          ) : (
            "none: links are made within the network"
          )}
        </Fact>
      </Facts>
    </Panel>
  );
}

/** What the mesh allows, as both ends of every channel know it. */
function Limits() {
  const bytes = (value: number) => `${(value / 1024).toLocaleString()} KiB`;
  return (
    <Panel id="limits" title="Limits">
      <Facts>
        <Fact name="Payload or result">{bytes(wire.MAX_PAYLOAD_BYTES)}</Fact>
        <Fact name="Artifact">{bytes(wire.MAX_ARTIFACT_BYTES)}</Fact>
        <Fact name="Question or answer">{bytes(wire.MAX_QUESTION_BYTES)}</Fact>
        <Fact name="Tasks alive">{wire.MAX_LIVE_TASKS.toLocaleString()}</Fact>
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
