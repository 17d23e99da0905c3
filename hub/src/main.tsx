import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { HubProvider } from "./hub";
import { createApi } from "./lib/api";
import { tickingClock } from "./lib/clock";
import { LiveMesh } from "./lib/live";
import { storageShelf } from "./lib/shelf";
import { takeLoginCode } from "./lib/url";
import "./ui/fonts.css";
import "./ui/tokens.css";
import "./ui/base.css";
import "./ui/table.css";
import "./ui/form.css";
import "./features/shell/shell.css";
import "./features/session/login.css";
import "./ui/narrow.css";

/** Milliseconds after which events are shown in a tab that draws no pictures (a hidden one). */
const HIDDEN_PAINT_MS = 500;
/** Milliseconds between two pictures in a burst: an event is seen within twice this, and a busy mesh costs ten a second. */
const PAINT_EVERY_MS = 100;
let lastPaint = Number.NEGATIVE_INFINITY;

// The code leaves the address before anything else runs: no history entry and no bookmark holds it.
const { code, address } = takeLoginCode(window.location);
if (code !== null) window.history.replaceState(null, "", address);

const api = createApi((input, init) => fetch(input, init));
const live = new LiveMesh({
  api,
  now: () => Date.now(),
  random: () => Math.random(),
  after: (ms, then) => {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
  beforePaint,
});
const hub = {
  api,
  live,
  clock: tickingClock(() => Date.now(), 1000),
  shelf: storageShelf(window.localStorage),
  loginCode: code,
};
const queries = new QueryClient({
  // The event stream says when something changed: nothing is asked for again by time or by looking.
  defaultOptions: {
    queries: { retry: false, staleTime: Number.POSITIVE_INFINITY, refetchOnWindowFocus: false },
  },
});

window.addEventListener("online", () => live.wake());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) live.wake();
});

const scheme = hub.shelf.read("scheme");
if (scheme === "light" || scheme === "dark") document.documentElement.dataset.scheme = scheme;

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <HubProvider value={hub}>
        <App />
      </HubProvider>
    </QueryClientProvider>
  </StrictMode>,
);

/** Gathers a burst into few pictures; the first event after a quiet time is shown at once. */
function beforePaint(then: () => void): void {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    lastPaint = performance.now();
    then();
  };
  const rest = Math.max(0, lastPaint + PAINT_EVERY_MS - performance.now());
  setTimeout(() => requestAnimationFrame(once), rest);
  setTimeout(once, HIDDEN_PAINT_MS);
}
