import type { ReactNode } from "react";
import { useEffect, useRef } from "react";
import type { SessionAnswer } from "../../generated/wire";
import { LoginForm } from "./LoginForm";
import { PasswordForm } from "./PasswordForm";
import { type Session, useSession } from "./use-session";

export interface SessionGateProps {
  readonly children: (session: SessionAnswer, logout: () => void) => ReactNode;
}

/** Shows the page to whoever is logged in, and the login to everybody else. */
export function SessionGate({ children }: SessionGateProps) {
  const session = useSession();
  if (session.failure) return <Unreachable session={session} />;
  if (!session.standing) return <main className="gate gate--waiting">Loading…</main>;
  if (!session.standing.session) {
    return (
      <main className="gate">
        <LoginForm session={session} note={session.standing.note} />
      </main>
    );
  }
  if (session.standing.session.password_missing) {
    return (
      <main className="gate">
        <PasswordForm session={session} />
      </main>
    );
  }
  return (
    <>
      {children(session.standing.session, session.logout)}
      {session.expired && <Expired session={session} />}
    </>
  );
}

/** The login over the page: what was looked at stays where it is. */
function Expired({ session }: { session: Session }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      className="gate__dialog"
      aria-label="Log in again"
      onCancel={(event) => event.preventDefault()}
    >
      <LoginForm session={session} note="The session is over. Log in again to go on where you are." />
    </dialog>
  );
}

function Unreachable({ session }: { session: Session }) {
  return (
    <main className="gate">
      <div className="login">
        <h1 className="login__title">The registry cannot be reached</h1>
        <p className="login__text">{session.failure?.message}</p>
        <button type="button" className="button button--primary" onClick={session.retry}>
          Try again
        </button>
      </div>
    </main>
  );
}
