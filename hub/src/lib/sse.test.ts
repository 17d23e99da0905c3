import { describe, expect, test } from "vitest";
import { MAX_EVENT_CHARS, SseParser } from "./sse";

const STREAM =
  ': keep-alive\n\nid: 7\ndata: {"seq":7}\n\nevent: note\r\ndata: a\r\ndata: b\r\n\r\ndata:no space\rdata\r\rid: 9\n\n';

function all(pieces: Iterable<string>): { events: unknown[]; comments: number } {
  const parser = new SseParser();
  const events: unknown[] = [];
  let comments = 0;
  for (const piece of pieces) {
    const batch = parser.push(piece);
    events.push(...batch.events);
    comments += batch.comments;
  }
  return { events, comments };
}

describe("the parser of server-sent events", () => {
  test("reads data, names, comments and all three line ends", () => {
    expect(all([STREAM])).toEqual({
      events: [
        { name: "message", data: '{"seq":7}' },
        { name: "note", data: "a\nb" },
        { name: "message", data: "no space\n" },
      ],
      comments: 1,
    });
  });

  test("the cuts between pieces do not matter", () => {
    const whole = all([STREAM]);
    for (let at = 0; at <= STREAM.length; at++) {
      expect(all([STREAM.slice(0, at), STREAM.slice(at)])).toEqual(whole);
    }
    expect(all(STREAM)).toEqual(whole);
  });

  test("an event that is not finished is not told", () => {
    expect(all(["data: half"]).events).toEqual([]);
  });

  test("a byte order mark at the start is skipped", () => {
    expect(all(["\uFEFFdata: x\n\n"]).events).toEqual([{ name: "message", data: "x" }]);
  });

  test("an event without end is refused, not collected for ever", () => {
    const parser = new SseParser();
    const piece = "x".repeat(MAX_EVENT_CHARS / 2);
    parser.push(`data: ${piece}`);
    expect(() => parser.push(`${piece}x`)).toThrow("too large");
  });
});
