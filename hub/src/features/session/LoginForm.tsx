import { type FormEvent, useId, useState } from "react";
import { Mark } from "../../ui/Mark";
import type { Session } from "./use-session";

export interface LoginFormProps {
  readonly session: Session;
  /** Why a login is asked for. */
  readonly note: string | null;
}

export function LoginForm({ session, note }: LoginFormProps) {
  const [password, setPassword] = useState("");
  const [key, setKey] = useState("");
  const passwordField = useId();
  const keyField = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key.trim()) session.login({ api_key: key.trim() });
    else if (password) session.login({ password });
  };
  return (
    <form className="login" onSubmit={submit}>
      <h1 className="login__title">
        <Mark />
        seamesh hub
      </h1>
      {note && <p className="login__note">{note}</p>}
      <label className="login__field" htmlFor={passwordField}>
        Administrator's password
      </label>
      <input
        id={passwordField}
        className="login__input"
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={(event) => setPassword(event.target.value)}
      />
      <label className="login__field" htmlFor={keyField}>
        API key
      </label>
      <input
        id={keyField}
        className="login__input mono"
        type="password"
        autoComplete="off"
        spellCheck={false}
        value={key}
        onChange={(event) => setKey(event.target.value)}
      />
      {session.loginFailure && (
        <p className="login__error" role="alert">
          {session.loginFailure.message}
        </p>
      )}
      <button
        type="submit"
        className="button button--primary"
        disabled={session.loggingIn || !(key.trim() || password)}
      >
        Log in
      </button>
      <p className="login__text">
        One of the two. The registry's own key is in the file <code>admin.key</code> of its data directory. A
        one-time login link (<code>seamesh login</code>) needs neither.
      </p>
    </form>
  );
}
