import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { Ellipsis, LogOut, Search } from "lucide-react";
import { useState } from "react";
import { flushSync } from "react-dom";
import { useLive, useWho } from "../../hub";
import type { Connection } from "../../lib/live";
import type { MeshState } from "../../lib/mesh-state";
import { Mark } from "../../ui/Mark";
import { useKeys } from "../../ui/use-keys";
import { KeyHelp } from "./KeyHelp";
import { Notices } from "./Notices";
import { Palette } from "./Palette";
import { PAGES } from "./pages";

/** The frame around every page: where one is, how fresh it is, and the ways elsewhere. */
export function Shell() {
  const { mesh, connection } = useLive();
  const navigate = useNavigate();
  const [open, setOpen] = useState<"palette" | "keys" | null>(null);
  useKeys({
    // At once: what is typed next belongs into it.
    "mod+k": () => flushSync(() => setOpen("palette")),
    "?": () => setOpen("keys"),
    "/": () => document.querySelector<HTMLInputElement>("[data-filter]")?.focus(),
    ...Object.fromEntries(PAGES.map((page) => [`g ${page.key}`, () => void navigate({ to: page.to })])),
  });
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <TopBar search={() => setOpen("palette")} />
      <Navigation mesh={mesh} more={() => setOpen("palette")} />
      <div className="shell__body">
        <Notices />
        <main id="content" className="shell__content" tabIndex={-1}>
          {mesh ? (
            <Outlet />
          ) : (
            connection.phase !== "forbidden" && <p className="waiting">Loading the mesh…</p>
          )}
        </main>
      </div>
      {open === "palette" && <Palette close={() => setOpen(null)} />}
      {open === "keys" && <KeyHelp close={() => setOpen(null)} />}
    </div>
  );
}

function TopBar({ search }: { search: () => void }) {
  const { connection, refused } = useLive();
  const { session, logout } = useWho();
  return (
    <header className="topbar">
      <Link to="/" className="brand" aria-label="seamesh hub, overview">
        <Mark />
        seamesh
      </Link>
      <button type="button" className="search" onClick={search} aria-keyshortcuts="Control+K">
        <Search aria-hidden="true" />
        <span className="search__text">Go to a task, an agent, a page…</span>
        <kbd>Ctrl K</kbd>
      </button>
      <div className="topbar__end">
        <ConnectionState connection={connection} refused={refused} />
        <span className="who" title={`Logged in as ${session.peer_id}, ${session.role}`}>
          {session.peer_id === session.role ? session.role : `${session.peer_id}, ${session.role}`}
        </span>
        <button type="button" className="icon-button" onClick={logout} aria-label="Log out" title="Log out">
          <LogOut aria-hidden="true" />
        </button>
      </div>
    </header>
  );
}

function Navigation({ mesh, more }: { mesh: MeshState | null; more: () => void }) {
  const waiting = mesh ? mesh.counts.input_required + mesh.newcomers.size : 0;
  return (
    <nav className="nav" aria-label="Pages">
      <ul>
        {PAGES.map(({ to, name, key, icon: Icon, first }) => (
          <li key={to} className={first ? undefined : "nav__later"}>
            <Link
              to={to}
              className="nav__link"
              activeOptions={{ exact: to === "/", includeSearch: false }}
              title={`${name} (g ${key})`}
            >
              <Icon aria-hidden="true" />
              {name}
              {to === "/inbox" && waiting > 0 && (
                <span className="nav__count">
                  {waiting.toLocaleString()}
                  <span className="visually-hidden"> waiting</span>
                </span>
              )}
            </Link>
          </li>
        ))}
        <li className="nav__more">
          <button type="button" className="nav__link" onClick={more}>
            <Ellipsis aria-hidden="true" />
            More
          </button>
        </li>
      </ul>
    </nav>
  );
}

const PHASE: Readonly<Record<Connection["phase"], readonly [word: string, tone: string]>> = {
  loading: ["Connecting", "badge--hollow"],
  live: ["Live", "badge--ok"],
  cut: ["Reconnecting", "badge--warn"],
  unauthorized: ["Logged out", "badge--hollow"],
  forbidden: ["Refused", "badge--bad"],
};

function ConnectionState({ connection, refused }: { connection: Connection; refused: number }) {
  const [word, tone] = PHASE[connection.phase];
  const note =
    refused > 0 ? `${refused === 1 ? "1 event was" : `${refused} events were`} not understood` : undefined;
  return (
    <span className={`badge ${tone}`} data-phase={connection.phase} title={note}>
      {word}
    </span>
  );
}
