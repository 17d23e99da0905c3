// Server-sent events, as the HTML standard parses them (section 9.2.6), without a socket: text in, events out.

/** One dispatched event. */
export interface SseEvent {
  /** `message` unless the stream named it. */
  readonly name: string;
  readonly data: string;
}

/** What one piece of the stream held. */
export interface SseBatch {
  readonly events: SseEvent[];
  /** Whether the server said anything at all, a keep-alive comment included. */
  readonly comments: number;
}

/** Longest event, in characters, before the stream counts as broken: four times the largest record of the wire. */
export const MAX_EVENT_CHARS = 8 * 1024 * 1024;

export class SseParser {
  private rest = "";
  private name = "";
  private data: string[] = [];
  private started = false;

  /** Takes the next piece of text. Throws when one event outgrows `MAX_EVENT_CHARS`. */
  push(piece: string): SseBatch {
    const events: SseEvent[] = [];
    let comments = 0;
    for (const line of this.lines(piece)) {
      if (line === "") {
        const event = this.dispatch();
        if (event) events.push(event);
      } else if (line.startsWith(":")) {
        comments += 1;
      } else {
        this.field(line);
      }
    }
    return { events, comments };
  }

  private lines(piece: string): string[] {
    let buffer = this.rest + piece;
    if (!this.started && buffer !== "") {
      this.started = true;
      if (buffer.charCodeAt(0) === 0xfeff) buffer = buffer.slice(1);
    }
    if (buffer.length > MAX_EVENT_CHARS) throw new Error("an event of the stream is too large");
    // A carriage return at the very end may be the first half of CRLF: it waits for the next piece.
    const held = buffer.endsWith("\r") ? "\r" : "";
    const lines = (held ? buffer.slice(0, -1) : buffer).split(/\r\n|\n|\r/);
    this.rest = (lines.pop() ?? "") + held;
    return lines;
  }

  private field(line: string): void {
    const colon = line.indexOf(":");
    const key = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (key === "data") this.data.push(value);
    if (key === "event") this.name = value;
  }

  private dispatch(): SseEvent | undefined {
    const event = { name: this.name || "message", data: this.data.join("\n") };
    const empty = this.data.length === 0;
    this.name = "";
    this.data = [];
    return empty ? undefined : event;
  }
}
