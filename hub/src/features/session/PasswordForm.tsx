import { type FormEvent, useId, useState } from "react";
import { MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES } from "../../generated/wire";
import { Mark } from "../../ui/Mark";
import type { Session } from "./use-session";

/** Asks the first administrator for a password: the link that led here works no second time. */
export function PasswordForm({ session }: { readonly session: Session }) {
  const [password, setPassword] = useState("");
  const field = useId();
  const bytes = new TextEncoder().encode(password).length;
  const isGood = bytes >= MIN_PASSWORD_BYTES && bytes <= MAX_PASSWORD_BYTES;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isGood) session.setPassword(password);
  };
  return (
    <form className="login" onSubmit={submit}>
      <h1 className="login__title">
        <Mark />
        Set a password
      </h1>
      <p className="login__note">The login link works no second time.</p>
      <label className="login__field" htmlFor={field}>
        New password
      </label>
      <input
        id={field}
        className="login__input"
        type="password"
        autoComplete="new-password"
        value={password}
        onChange={(event) => setPassword(event.target.value)}
      />
      {session.passwordFailure && (
        <p className="login__error" role="alert">
          {session.passwordFailure.message}
        </p>
      )}
      <button type="submit" className="button button--primary" disabled={session.settingPassword || !isGood}>
        Set the password
      </button>
      <button type="button" className="button" onClick={session.skipPassword}>
        Later
      </button>
      <p className="login__text">
        At least {MIN_PASSWORD_BYTES} characters. Without one, the key in <code>admin.key</code> or{" "}
        <code>seamesh login</code> lets you in.
      </p>
    </form>
  );
}
