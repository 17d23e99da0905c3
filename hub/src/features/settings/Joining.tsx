import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import * as wire from "../../generated/wire";
import { useHub } from "../../hub";
import { COMMANDS } from "../../lib/snippets";
import { age } from "../../lib/time";
import { CopyAs } from "../../ui/Copy";
import { Panel } from "../../ui/Panel";
import { Secret } from "../../ui/Secret";

export function Invites() {
  const { api } = useHub();
  const invite = useMutation({ mutationFn: () => api.invite() });
  return (
    <Panel id="invites" title="Invites" tools={<CopyAs cli={COMMANDS.invite} />}>
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
export function Password() {
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
    <Panel id="password" title="Administrator's password" tools={<CopyAs cli={COMMANDS.password} />}>
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
