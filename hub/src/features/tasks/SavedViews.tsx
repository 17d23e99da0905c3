import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useHub } from "../../hub";
import { type SavedView, savedViews, withView } from "../../lib/shelf";
import { parseQuery, type TasksSearch, tasksSearch, writeQuery } from "../../lib/url";
import { Dialog } from "../../ui/Dialog";

/** Filters under a name, kept in this browser. */
export function SavedViews({ search }: { search: TasksSearch }) {
  const { shelf } = useHub();
  const navigate = useNavigate();
  const [views, setViews] = useState(() => savedViews(shelf.read("views")));
  const [naming, setNaming] = useState(false);
  const query = writeQuery({ ...search });
  const current = views.find((view) => view.query === query);
  const keep = (next: readonly SavedView[]) => {
    shelf.write("views", next);
    setViews([...next]);
  };
  return (
    <>
      {views.map((view) => (
        <button
          key={view.name}
          type="button"
          className="filter"
          aria-pressed={view === current}
          onClick={() => void navigate({ to: "/tasks", search: tasksSearch(parseQuery(view.query)) })}
        >
          <bdi>{view.name}</bdi>
        </button>
      ))}
      {current ? (
        <button
          type="button"
          className="button"
          onClick={() => keep(views.filter((view) => view !== current))}
        >
          Forget this view
        </button>
      ) : (
        query && (
          <button type="button" className="button" onClick={() => setNaming(true)}>
            Save this view
          </button>
        )
      )}
      {naming && (
        <NameView
          close={() => setNaming(false)}
          take={(name) => {
            keep(withView(views, { name, query }));
            setNaming(false);
          }}
        />
      )}
    </>
  );
}

function NameView({ close, take }: { close: () => void; take: (name: string) => void }) {
  const [name, setName] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim()) take(name.trim());
  };
  return (
    <Dialog title="Save this view" close={close}>
      <form className="form" onSubmit={submit}>
        <div className="field">
          <label htmlFor="view-name">Name</label>
          <input
            id="view-name"
            data-first
            className="input"
            maxLength={40}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        </div>
        <div className="dialog__deeds">
          <button type="submit" className="button button--primary" disabled={!name.trim()}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
