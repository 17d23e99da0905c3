import type { ErrorComponentProps } from "@tanstack/react-router";

/** A page that failed: the frame stays, and says what to do. */
export function PageError({ error, reset }: ErrorComponentProps) {
  const said = error instanceof Error ? error.message : String(error);
  const loading = /import|fetch|module/i.test(said);
  return (
    <div className="empty" role="alert">
      <strong>{loading ? "This page could not be loaded" : "This page failed: a bug of the hub"}</strong>
      <span>
        {loading
          ? "The registry cannot be reached, or was replaced by another version. Load the page anew."
          : said.slice(0, 400)}
      </span>
      <button type="button" className="button" onClick={reset}>
        Try again
      </button>
    </div>
  );
}
