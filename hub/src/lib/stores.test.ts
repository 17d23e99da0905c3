// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { tickingClock } from "./clock";
import { placeStore } from "./place-store";

describe("the clock", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("moves while somebody looks, and rests when nobody does", () => {
    let time = 100;
    const clock = tickingClock(() => time, 1000);
    const seen: number[] = [];
    const off = clock.subscribe(() => seen.push(clock.now()));
    time = 200;
    expect(clock.now()).toBe(100);
    vi.advanceTimersByTime(1000);
    expect(seen).toEqual([200]);
    off();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the address bar", () => {
  test("follows where one goes, and tells when one goes back", () => {
    window.history.replaceState(null, "", "/?state=failed");
    const store = placeStore(window);
    let told = 0;
    store.subscribe(() => {
      told += 1;
    });
    expect(store.read().state).toBe("failed");
    store.go({ agent: "reader" });
    expect(window.location.search).toBe("?state=failed&agent=reader");
    expect(store.read()).toMatchObject({ state: "failed", agent: "reader" });
    window.history.replaceState(null, "", "/");
    window.dispatchEvent(new PopStateEvent("popstate"));
    expect(store.read()).toMatchObject({ state: null, agent: null });
    expect(told).toBe(2);
  });
});
