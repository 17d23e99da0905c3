import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { KeyRecord, Role } from "../../generated/wire";
import * as wire from "../../generated/wire";
import { useHub } from "../../hub";
import { COMMANDS, createKeyAsCli, revokeKeyAsCli } from "../../lib/snippets";
import { moment } from "../../lib/time";
import { CopyAs } from "../../ui/Copy";
import { Data } from "../../ui/Data";
import { Panel } from "../../ui/Panel";
import { Secret } from "../../ui/Secret";
import { Confirm } from "../tasks/BulkBar";

const ROLES: readonly (readonly [Role, string])[] = [
  ["agent", "acts as one agent"],
  ["viewer", "sees everything, changes nothing"],
  ["operator", "submits, cancels and steers work"],
  ["admin", "decides who is in"],
];

export function Keys() {
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
    <Panel id="keys" title="API keys" count={list.data?.length} tools={<CopyAs cli={COMMANDS.keys} />}>
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
        {peer.trim() && <CopyAs cli={createKeyAsCli(peer.trim(), role)} />}
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
              <td className="number row-deeds">
                <CopyAs cli={revokeKeyAsCli(key.key_id)} about={`revoking the key of ${key.peer_id}`} />
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
