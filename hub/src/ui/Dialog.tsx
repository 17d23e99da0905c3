import { X } from "lucide-react";
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";

export interface DialogProps {
  readonly title: string;
  readonly close: () => void;
  readonly children: ReactNode;
  readonly className?: string;
  /** The title is read, not shown. */
  readonly bare?: boolean;
}

/** A modal over the page. The browser keeps the focus in it, gives it back, and closes it on Escape. */
export function Dialog({ title, close, children, className = "", bare = false }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    // The browser takes the first element that may have the focus, which need not be what a person starts with.
    element?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does what a click beside it does; the browser sees to it.
    <dialog
      ref={dialog}
      className={`dialog ${className}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) close();
      }}
    >
      <div className={bare ? undefined : "dialog__inside"}>
        <header className={bare ? "visually-hidden" : "dialog__head"}>
          <h2 id={heading}>{title}</h2>
          {!bare && (
            <button type="button" className="icon-button" onClick={close} aria-label="Close">
              <X aria-hidden="true" />
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  );
}
