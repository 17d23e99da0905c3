import { type FormEvent, useId, useState } from "react";
import { Mark } from "../../ui/Mark";
import type { Session } from "./use-session";

export interface LoginFormProps {
  readonly session: Session;
  /** Why a login is asked for. */
  readonly note: string | null;
}

export function LoginForm({ session, note }: LoginFormProps) {
  const [key, setKey] = useState("");
  const field = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key.trim()) session.login({ api_key: key.trim() });
  };
  return (
    <form className="login" onSubmit={submit}>
      <h1 className="login__title">
        <Mark />
        seamesh hub
      </h1>
      {note && <p className="login__note">{note}</p>}
      <label className="login__field" htmlFor={field}>
        API key
      </label>
      <input
        id={field}
        className="login__input mono"
        type="password"
        autoComplete="current-password"
        spellCheck={false}
        value={key}
        onChange={(event) => setKey(event.target.value)}
      />
      {session.loginFailure && (
        <p className="login__error" role="alert">
          {session.loginFailure.message}
        </p>
      )}
      <button type="submit" className="button button--primary" disabled={session.loggingIn || !key.trim()}>
        Log in
      </button>
      <p className="login__text">
        The registry's own key is in the file <code>admin.key</code> of its data directory. A one-time login
        link needs no key.
      </p>
    </form>
  );
}
