import { CELL_CHARS, clip, DISPLAY_CHARS } from "../lib/text";
import { save } from "./save";

/** A piece of the user's text on one line: isolated, so that what it holds cannot reorder the page around it. */
export function Data({ text, mono = false }: { text: string; mono?: boolean }) {
  const { text: shown, missing } = clip(text, CELL_CHARS);
  return <bdi className={mono ? "mono" : undefined}>{missing > 0 ? `${shown}…` : shown}</bdi>;
}

export interface LongTextProps {
  readonly text: string;
  readonly fileName: string;
  /** A person's words, not data: without the box and the fixed letters. */
  readonly plain?: boolean;
}

/** A long text of the user's: cut at the display limit, the whole of it as a download. */
export function LongText({ text, fileName, plain = false }: LongTextProps) {
  const { text: shown, missing } = clip(text, DISPLAY_CHARS);
  return (
    <>
      {plain ? (
        <p className="plain-text">
          <bdi>{shown}</bdi>
        </p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
        <pre className="long-text" tabIndex={0}>
          <bdi>{shown}</bdi>
        </pre>
      )}
      {missing > 0 && <Rest text={text} missing={missing} fileName={fileName} />}
    </>
  );
}

function Rest({ text, missing, fileName }: { text: string; missing: number; fileName: string }) {
  return (
    <p className="long-text__rest">
      {missing.toLocaleString()} more characters.{" "}
      <button type="button" className="link" onClick={() => save(fileName, text)}>
        Download the whole text
      </button>
    </p>
  );
}
