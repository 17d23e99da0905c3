import { useNow } from "../hub";
import { age, ago, moment } from "../lib/time";

/** How long ago, kept true by the page's clock; the exact moment on hover. */
export function Ago({ ms }: { ms: number }) {
  const now = useNow();
  return (
    <time dateTime={Number.isFinite(ms) ? new Date(ms).toISOString() : undefined} title={moment(ms)}>
      {ago(now - ms)}
    </time>
  );
}

/** The time since `ms`. */
export function Age({ ms }: { ms: number }) {
  return <span>{age(useNow() - ms)}</span>;
}
