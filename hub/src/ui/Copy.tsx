import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useState } from "react";

/** Milliseconds for which it says that it was copied. */
const SAID_MS = 1_500;

export interface CopyProps {
  readonly text: string;
  /** What is copied, for the button's name: "as CLI". */
  readonly what: string;
  /** What it would do, where several stand on one page. */
  readonly about?: string | undefined;
}

export function Copy({ text, what, about }: CopyProps) {
  const [state, setState] = useState<"" | "copied" | "failed">("");
  useEffect(() => {
    if (!state) return;
    const timer = setTimeout(() => setState(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = () => {
    // Browsers give the clipboard to pages over TLS or on this machine only.
    const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
    copied.then(
      () => setState("copied"),
      () => setState("failed"),
    );
  };
  const said = state === "copied" ? "Copied" : state === "failed" ? "Not allowed here" : what;
  return (
    <button type="button" className="copy" onClick={copy} title={text.slice(0, 400)}>
      {state === "copied" ? <Check aria-hidden="true" /> : <CopyIcon aria-hidden="true" />}
      <span className="visually-hidden">{state ? "" : "Copy "}</span>
      <span aria-live="polite">{said}</span>
      {about && !state && <span className="visually-hidden"> {about}</span>}
    </button>
  );
}

/** The same action in a shell and in Python. */
export function CopyAs({ cli, python, about }: { cli: string; python?: string; about?: string }) {
  return (
    <span className="copies">
      <Copy text={cli} what="as CLI" about={about} />
      {python !== undefined && <Copy text={python} what="as Python" about={about} />}
    </span>
  );
}
