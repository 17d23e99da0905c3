import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { Bot, Keyboard, ListTree, MoonStar, Sun, SunMoon } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";
import { useHub, useLive } from "../../hub";
import { byName } from "../../lib/agents";
import { filterTasks } from "../../lib/tasks";
import { Data } from "../../ui/Data";
import { Dialog } from "../../ui/Dialog";
import { PAGES } from "./pages";

/** Most agents and most tasks listed at once. */
const MOST = 8;

const SCHEMES = [
  { name: "Light colours", scheme: "light", icon: Sun },
  { name: "Dark colours", scheme: "dark", icon: MoonStar },
  { name: "Colours of the system", scheme: "system", icon: SunMoon },
] as const;

/** Goes anywhere by name. */
export function Palette({ close }: { close: () => void }) {
  const { mesh } = useLive();
  const { shelf } = useHub();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  // Only what is there when it opens or is typed in: rows that move under the finger are of no use.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above.
  const found = useMemo(() => {
    if (!mesh || !wanted) return { agents: [], tasks: [] };
    const agents = byName(mesh.agents.values()).filter((a) =>
      a.record.agent_id.toLowerCase().includes(wanted),
    );
    return { agents: agents.slice(0, MOST), tasks: filterTasks(mesh.newest, { q: wanted }).slice(0, MOST) };
  }, [wanted]);
  const go = (then: () => unknown) => () => {
    close();
    then();
  };
  const setScheme = (scheme: string) => {
    shelf.write("scheme", scheme);
    if (scheme === "system") delete document.documentElement.dataset.scheme;
    else document.documentElement.dataset.scheme = scheme;
  };
  const fits = (name: string) => name.toLowerCase().includes(wanted);
  return (
    <Dialog title="Go to" close={close} className="palette" bare>
      <Command label="Go to" shouldFilter={false} loop>
        <Command.Input
          data-first
          value={text}
          onValueChange={setText}
          placeholder="A page, an agent, a task id, a skill…"
          maxLength={200}
        />
        <Command.List label="Places">
          <Command.Empty>Nothing of that name.</Command.Empty>
          <Group name="Pages">
            {PAGES.filter((page) => fits(page.name)).map(({ to, name, key, icon: Icon }) => (
              <Command.Item key={to} value={`page ${to}`} onSelect={go(() => navigate({ to }))}>
                <Icon aria-hidden="true" />
                {name}
                <span className="palette__keys">
                  <kbd>g</kbd>
                  <kbd>{key}</kbd>
                </span>
              </Command.Item>
            ))}
          </Group>
          {found.agents.length > 0 && (
            <Group name="Agents">
              {found.agents.map(({ record: { agent_id, health } }) => (
                <Command.Item
                  key={agent_id}
                  value={`agent ${agent_id}`}
                  onSelect={go(() => navigate({ to: "/agent", search: { id: agent_id } }))}
                >
                  <Bot aria-hidden="true" />
                  <Data text={agent_id} />
                  <span className="palette__note">{health}</span>
                </Command.Item>
              ))}
            </Group>
          )}
          {(found.tasks.length > 0 || wanted.length > 3) && (
            <Group name="Tasks">
              {found.tasks.map((task) => (
                <Command.Item
                  key={task.id}
                  value={`task ${task.id}`}
                  onSelect={go(() => navigate({ to: "/task", search: { id: task.id } }))}
                >
                  <ListTree aria-hidden="true" />
                  <Data text={task.skill || "task"} mono />
                  <span className="palette__note mono">
                    <Data text={task.id} />
                  </span>
                </Command.Item>
              ))}
              {!text.includes(" ") && wanted.length > 3 && (
                <Command.Item
                  value="open by id"
                  onSelect={go(() => navigate({ to: "/task", search: { id: text.trim() } }))}
                >
                  <ListTree aria-hidden="true" />
                  Open the task with the id <Data text={text.trim()} mono />
                </Command.Item>
              )}
            </Group>
          )}
          <Group name="Do">
            {SCHEMES.filter((one) => fits(one.name)).map(({ name, scheme, icon: Icon }) => (
              <Command.Item key={scheme} value={`scheme ${scheme}`} onSelect={go(() => setScheme(scheme))}>
                <Icon aria-hidden="true" />
                {name}
              </Command.Item>
            ))}
            {fits("keys") && (
              <Command.Item
                value="keys"
                onSelect={go(() => document.dispatchEvent(new KeyboardEvent("keydown", { key: "?" })))}
              >
                <Keyboard aria-hidden="true" />
                Keys
                <span className="palette__keys">
                  <kbd>?</kbd>
                </span>
              </Command.Item>
            )}
          </Group>
        </Command.List>
      </Command>
    </Dialog>
  );
}

function Group({ name, children }: { name: string; children: ReactNode }) {
  return <Command.Group heading={name}>{children}</Command.Group>;
}
