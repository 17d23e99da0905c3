import { Copy } from "./Copy";

/** A secret that is shown this once. */
export function Secret({ what, secret, note }: { what: string; secret: string; note: string }) {
  return (
    <div className="secret" role="status">
      <strong>{what}</strong>
      <p>
        <code>{secret}</code> <Copy text={secret} what="it" />
      </p>
      <p className="quiet">{note}</p>
    </div>
  );
}
