import type { Streamed } from "../../lib/stream";
import { Data } from "../../ui/Data";
import "./stream.css";

/** What a handler says while it works, as it comes. */
export function StreamView({ streamed }: { streamed: Streamed }) {
  return (
    <div className="streamed" data-streamed={streamed.ended ? "whole" : "running"}>
      {streamed.missed > 0 && (
        <p className="quiet">{streamed.missed.toLocaleString()} parts were not read in time.</p>
      )}
      {streamed.text && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
        <pre className="long-text" aria-live="polite" tabIndex={0}>
          <bdi>{streamed.text}</bdi>
        </pre>
      )}
      {streamed.artifacts.map((one) => (
        <p key={one.name} className="streamed__file">
          <Data text={one.name} mono />
          <progress
            max={Math.max(1, one.size)}
            value={one.came}
            aria-label={`How much of ${one.name.slice(0, 80)} came`}
          />
          <span className="quiet">
            {one.came.toLocaleString()} of {one.size.toLocaleString()} bytes
          </span>
        </p>
      ))}
    </div>
  );
}
