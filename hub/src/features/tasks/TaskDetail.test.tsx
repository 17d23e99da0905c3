// @vitest-environment happy-dom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, test } from "vitest";
import type { Task } from "../../generated/wire";
import { type Hub, HubProvider } from "../../hub";
import type { Api } from "../../lib/api";
import { LiveMesh } from "../../lib/live";
import { fromSnapshot } from "../../lib/mesh-state";
import { NOW_MS, snapshot, task } from "../../lib/samples";
import { HOME, type Place } from "../../lib/url";
import { TaskDetail } from "./TaskDetail";

afterEach(cleanup);

/** A hub that looks at one task; `answers` is what the registry knows of it, `asked` counts the questions. */
function looking(answers: () => Task): Hub & { asked: () => number; places: Place[] } {
  let asked = 0;
  const unused = () => Promise.reject(new Error("not asked here"));
  const api: Api = {
    session: unused,
    login: unused,
    logout: unused,
    snapshot: unused,
    events: unused,
    task: async () => {
      asked += 1;
      return answers();
    },
  };
  const place: Place = { ...HOME, task: "t" };
  const places: Place[] = [];
  return {
    api,
    live: new LiveMesh({
      api,
      now: () => NOW_MS,
      random: () => 0,
      after: () => () => {},
      beforePaint: () => {},
    }),
    clock: { now: () => NOW_MS, subscribe: () => () => {} },
    place: {
      read: () => place,
      subscribe: () => () => {},
      go: (change) => places.push({ ...place, ...change }),
    },
    loginCode: null,
    asked: () => asked,
    places,
  };
}

function show(hub: Hub, listed: readonly Task[]) {
  const queries = new QueryClient({
    defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY } },
  });
  const at = (tasks: readonly Task[]) => (
    <QueryClientProvider client={queries}>
      <HubProvider value={hub}>
        <TaskDetail mesh={fromSnapshot(snapshot({ tasks: [...tasks] }))} />
      </HubProvider>
    </QueryClientProvider>
  );
  const { rerender } = render(at(listed));
  return (tasks: readonly Task[]) => rerender(at(tasks));
}

describe("the detail of a task", () => {
  test("asks for payload and result once, and again when the stream tells of a change", async () => {
    let answer = task("t", { payload: { text: "long" } });
    const hub = looking(() => answer);
    const change = show(hub, [task("t")]);
    await screen.findByText(/"text": "long"/);
    change([task("t")]);
    expect(hub.asked()).toBe(1);
    answer = task("t", { state: "completed", result: "short", updated_at: NOW_MS / 1000 + 1 });
    change([task("t", { state: "completed", updated_at: NOW_MS / 1000 + 1 })]);
    await screen.findByText("short");
    expect(hub.asked()).toBe(2);
  });

  test("says why the task waits", async () => {
    show(
      looking(() => task("t", { skill: "fly" })),
      [task("t", { skill: "fly" })],
    );
    await screen.findByText("No agent offers fly.");
  });

  test("closes with Escape", async () => {
    const hub = looking(() => task("t"));
    show(hub, [task("t")]);
    await userEvent.keyboard("{Escape}");
    expect(hub.places.at(-1)?.task).toBeNull();
  });
});
