// @vitest-environment happy-dom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, expect, test } from "vitest";
import { useFollowed } from "./use-followed";

afterEach(cleanup);

test("a change while an answer is under way is asked for once more, and nothing is asked for without one", async () => {
  const queries = new QueryClient({
    defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY } },
  });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={queries}>{children}</QueryClientProvider>
  );
  const answers: ((value: string) => void)[] = [];
  const ask = () => new Promise<string>((resolve) => answers.push(resolve));
  const { result, rerender } = renderHook(({ version }) => useFollowed(["t"], version, ask), {
    wrapper,
    initialProps: { version: 1 },
  });
  rerender({ version: 2 });
  rerender({ version: 3 });
  expect(answers).toHaveLength(1);
  await act(async () => answers[0]?.("old"));
  await waitFor(() => expect(answers).toHaveLength(2));
  await act(async () => answers[1]?.("new"));
  await waitFor(() => expect(result.current.data).toBe("new"));
  rerender({ version: 3 });
  expect(answers).toHaveLength(2);
});
