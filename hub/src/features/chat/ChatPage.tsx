import { useMutation } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type FormEvent, type KeyboardEvent, useMemo, useState } from "react";
import type { SkillInfo, Task } from "../../generated/wire";
import { useHub, useMay, useMesh } from "../../hub";
import { byName, skillNames } from "../../lib/agents";
import { saidIn, type Turn, turnsOf, withTurn } from "../../lib/chat";
import type { MeshState } from "../../lib/mesh-state";
import { receiver } from "../../lib/tasks";
import { StateBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import { AgentLink, TaskLink } from "../../ui/Links";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Panel";
import { SchemaForm } from "../../ui/SchemaForm";
import { useSchemaForm } from "../../ui/use-schema-form";
import { NoAgents } from "../agents/AgentsPage";
import { Outcome } from "../agents/TrySkill";
import "./chat.css";

const route = getRouteApi("/chat");

/** A talk with an agent: each turn is a task, shown with what it says before it ends and whom it asks. */
export function ChatPage() {
  const mesh = useMesh();
  const search = route.useSearch();
  const navigate = useNavigate();
  const { shelf } = useHub();
  const [turns, setTurns] = useState(() => turnsOf(shelf.read("chat")));
  const agents = useMemo(
    () => byName(mesh.agents.values()).filter(({ record }) => skillNames(record).length > 0),
    [mesh.agents],
  );
  const entry = (search.agent ? mesh.agents.get(search.agent) : undefined) ?? agents[0];
  if (!entry) {
    return (
      <Page title="Chat">
        <NoAgents />
      </Page>
    );
  }
  const { record } = entry;
  const names = skillNames(record);
  const name = search.skill && names.includes(search.skill) ? search.skill : (names[0] ?? "");
  const skill: SkillInfo = record.skills.find((one) => one.name === name) ?? { name, description: "" };
  const own = turns.filter((turn) => turn.agent === record.agent_id);
  const keep = (next: readonly Turn[]) => {
    shelf.write("chat", next);
    setTurns([...next]);
  };
  return (
    <Page
      title="Chat"
      tools={
        own.length > 0 && (
          <button
            type="button"
            className="button"
            onClick={() => keep(turns.filter((turn) => turn.agent !== record.agent_id))}
          >
            Clear this talk
          </button>
        )
      }
    >
      <div className="chat">
        <div className="chat__who">
          <div className="field">
            <label htmlFor="chat-agent">Agent</label>
            <select
              id="chat-agent"
              className="input"
              value={record.agent_id}
              onChange={(event) => void navigate({ to: "/chat", search: { agent: event.target.value } })}
            >
              {agents.map(({ record: { agent_id } }) => (
                <option key={agent_id}>{agent_id}</option>
              ))}
            </select>
          </div>
          <div className="field">
            <label htmlFor="chat-skill">Skill</label>
            <select
              id="chat-skill"
              className="input"
              value={name}
              onChange={(event) =>
                void navigate({ to: "/chat", search: { agent: record.agent_id, skill: event.target.value } })
              }
            >
              {names.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </div>
          {(skill.description || record.description) && (
            <p className="quiet chat__about">
              <Data text={skill.description || record.description} />
            </p>
          )}
        </div>
        {own.length === 0 ? (
          <Empty title="Nothing was said yet">
            <span>What you send runs as a task of {record.agent_id.slice(0, 60)}.</span>
          </Empty>
        ) : (
          <ol className="chat__turns" aria-label="The talk">
            {own.map((turn) => (
              <TurnView key={turn.task} turn={turn} mesh={mesh} />
            ))}
          </ol>
        )}
        <Composer
          key={`${record.agent_id} ${name}`}
          agent={record.agent_id}
          skill={skill}
          sent={(turn) => keep(withTurn(turns, turn))}
        />
      </div>
    </Page>
  );
}

function TurnView({ turn, mesh }: { turn: Turn; mesh: MeshState }) {
  return (
    <li className="turn">
      <div className="turn__said">
        <span className="turn__skill mono">
          <Data text={turn.skill} />
        </span>
        <Data text={turn.said} />
      </div>
      <div className="turn__answer">
        <Steps id={turn.task} tasks={mesh.newest} />
        <Outcome id={turn.task} />
      </div>
    </li>
  );
}

/** Whom the agent asked meanwhile. */
function Steps({ id, tasks }: { id: string; tasks: readonly Task[] }) {
  const steps = useMemo(() => tasks.filter((task) => task.root_id === id).reverse(), [tasks, id]);
  if (steps.length === 0) return null;
  return (
    <ul className="steps" aria-label="Whom it asked">
      {steps.slice(0, 40).map((task) => (
        <li key={task.id}>
          <StateBadge state={task.state} />
          <TaskLink id={task.id} text={task.skill || "task"} />
          <span className="quiet">at</span>
          <AgentLink id={receiver(task)} otherwise="any agent" />
        </li>
      ))}
      {steps.length > 40 && <li className="quiet">and {steps.length - 40} more</li>}
    </ul>
  );
}

interface ComposerProps {
  readonly agent: string;
  readonly skill: SkillInfo;
  readonly sent: (turn: Turn) => void;
}

function Composer({ agent, skill, sent }: ComposerProps) {
  const { api } = useHub();
  const works = useMay("work");
  const form = useSchemaForm(skill.input_schema);
  const send = useMutation({
    mutationFn: (payload: unknown) =>
      api.submit({ skill: skill.name, target_agent_id: agent, payload, stream: true }),
    onSuccess: ({ task_id }, payload) =>
      sent({ task: task_id, agent, skill: skill.name, said: saidIn(payload) }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const made = form.take();
    if (made) send.mutate(made.value);
  };
  const onKey = (event: KeyboardEvent<HTMLFormElement>) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
  };
  if (!works) return <p className="quiet">An operator may talk to agents.</p>;
  return (
    <form className="form chat__form" onSubmit={submit} onKeyDown={onKey} aria-label="Say something">
      <SchemaForm {...form} />
      <div className="form__deeds">
        <button type="submit" className="button button--primary" disabled={send.isPending}>
          Send
        </button>
        <span className="quiet">
          <kbd>Ctrl Enter</kbd>
        </span>
        {form.canToggle && (
          <button type="button" className="link" onClick={form.toggleJson}>
            {form.asJson ? "As a form" : "As JSON"}
          </button>
        )}
      </div>
      {send.error && (
        <p role="alert" className="field__problem">
          {send.error.message}
        </p>
      )}
    </form>
  );
}
