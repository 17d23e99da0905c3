// Events that happened before the page was opened: read off the stream, which is then let go.

import type { EventRecord } from "../generated/wire";
import { type Api, ApiError } from "./api";
import { SseParser } from "./sse";
import { parseEventRecord } from "./wire-check";

/** The events after number `after` and before number `before`; `"gone"` when they are no longer kept. */
export async function readPast(
  api: Pick<Api, "events">,
  after: number,
  before: number,
): Promise<EventRecord[] | "gone"> {
  if (before <= after + 1) return [];
  const run = new AbortController();
  try {
    const response = await api.events(after, run.signal);
    return response.body ? await collect(response.body, before) : [];
  } catch (error) {
    if (error instanceof ApiError && error.is("events_gone")) return "gone";
    throw error;
  } finally {
    run.abort();
  }
}

async function collect(body: ReadableStream<Uint8Array>, before: number): Promise<EventRecord[]> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as never)
    .getReader() as ReadableStreamDefaultReader<string>;
  const parser = new SseParser();
  const events: EventRecord[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return events;
    for (const event of parser.push(value).events) {
      const record = parseEventRecord(event.data);
      if (record.seq >= before) return events;
      events.push(record);
      if (record.seq === before - 1) return events;
    }
  }
}
