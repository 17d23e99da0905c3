import { Dialog } from "../../ui/Dialog";
import { PAGES } from "./pages";

const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ["Ctrl K", "Go to any page, agent or task, or do something"],
  ["/", "Filter this list"],
  ["j  k", "Next and previous row"],
  ["Enter", "Open the row"],
  ["x", "Select the row"],
  ["Esc", "Close, or leave the field"],
  ["?", "This sheet"],
];

export function KeyHelp({ close }: { close: () => void }) {
  return (
    <Dialog title="Keys" close={close}>
      <dl className="keys">
        {KEYS.map(([keys, what]) => (
          <Key key={keys} keys={keys} what={what} />
        ))}
        {PAGES.map((page) => (
          <Key key={page.to} keys={`g  ${page.key}`} what={page.name} />
        ))}
      </dl>
    </Dialog>
  );
}

function Key({ keys, what }: { keys: string; what: string }) {
  return (
    <div>
      <dt>
        {keys.split("  ").map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{what}</dd>
    </div>
  );
}
