import { useMemo } from "react";
import { CELL_CHARS, clip, DISPLAY_CHARS } from "../lib/text";

/** A piece of the user's text on one line: isolated, so that what it holds cannot reorder the page around it. */
export function Data({ text, mono = false }: { text: string; mono?: boolean }) {
  const { text: shown, missing } = clip(text, CELL_CHARS);
  return <bdi className={mono ? "mono" : undefined}>{missing > 0 ? `${shown}…` : shown}</bdi>;
}

/** A long text of the user's: cut at the display limit, the whole of it as a download. */
export function LongText({ text, fileName }: { text: string; fileName: string }) {
  const { text: shown, missing } = clip(text, DISPLAY_CHARS);
  return (
    <>
      <pre className="long-text">
        <bdi>{shown}</bdi>
      </pre>
      {missing > 0 && <Rest text={text} missing={missing} fileName={fileName} />}
    </>
  );
}

function Rest({ text, missing, fileName }: { text: string; missing: number; fileName: string }) {
  const file = useMemo(() => new Blob([text], { type: "text/plain;charset=utf-8" }), [text]);
  const save = () => {
    const address = URL.createObjectURL(file);
    const anchor = Object.assign(document.createElement("a"), { href: address, download: fileName });
    anchor.click();
    URL.revokeObjectURL(address);
  };
  return (
    <p className="long-text__rest">
      {missing.toLocaleString()} more characters.{" "}
      <button type="button" className="link" onClick={save}>
        Download the whole text
      </button>
    </p>
  );
}
