// What a task's handler streams, put together from its chunks.

import type { ChunkPage } from "../generated/wire";
import type { Api } from "./api";

/** A file that comes in parts. */
export interface Arriving {
  readonly name: string;
  readonly mediaType: string;
  readonly size: number;
  /** Bytes that came so far. */
  readonly came: number;
}

export interface Streamed {
  readonly attempt: number;
  /** Chunks read so far: what the next read names as taken. */
  readonly taken: number;
  /** What was said, its end if it is long. */
  readonly text: string;
  /** Chunks that nobody read in time. */
  readonly missed: number;
  readonly artifacts: readonly Arriving[];
  readonly ended: boolean;
}

/** Characters of a stream that are kept: more than a person reads of what is still being said. */
export const MAX_STREAM_CHARS = 200_000;

export const NOTHING_YET: Streamed = {
  attempt: 0,
  taken: 0,
  text: "",
  missed: 0,
  artifacts: [],
  ended: false,
};

/** What is known with one more page. Another attempt begins anew. */
export function withPage(before: Streamed, page: ChunkPage): Streamed {
  const known = page.attempt === before.attempt ? before : { ...NOTHING_YET, attempt: page.attempt };
  let { text, missed, taken } = known;
  const artifacts = new Map(known.artifacts.map((one) => [one.name, one]));
  for (const { index, data, artifact } of page.chunks) {
    if (index < taken) continue;
    missed += index - taken;
    taken = index + 1;
    if (artifact) {
      artifacts.set(artifact.name, {
        name: artifact.name,
        mediaType: artifact.media_type,
        size: artifact.size,
        came: Math.min(artifact.size, artifact.offset + bytesIn(data)),
      });
    } else if (data != null) {
      text += typeof data === "string" ? data : `${JSON.stringify(data)}\n`;
    }
  }
  return {
    attempt: page.attempt,
    taken: Math.max(taken, page.chunks.length > 0 ? page.next : taken),
    text: text.slice(-MAX_STREAM_CHARS),
    missed,
    artifacts: [...artifacts.values()],
    ended: page.ended,
  };
}

/** Bytes that a base64 text stands for. */
function bytesIn(data: unknown): number {
  if (typeof data !== "string") return 0;
  const pad = data.endsWith("==") ? 2 : data.endsWith("=") ? 1 : 0;
  return (data.length / 4) * 3 - pad;
}

/** Reads until the stream ends, showing what came; from where `known` stands. A task that streams nothing shows nothing. */
export async function readStream(
  api: Pick<Api, "chunks">,
  id: string,
  known: Streamed,
  show: (streamed: Streamed) => void,
  signal: AbortSignal,
): Promise<void> {
  let streamed = known;
  while (!streamed.ended && !signal.aborted) {
    const { attempt, taken } = streamed;
    const page = await api.chunks(id, { attempt, taken }, signal);
    if (signal.aborted) return;
    streamed = withPage(streamed, page);
    show(streamed);
  }
}
