import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";

export interface Followed<T> {
  readonly data: T | undefined;
  readonly error: Error | null;
}

/**
 * What the registry answers, asked for again when `version` changes and at no other time. While one answer is under
 * way no second one is asked for; one more follows if something changed meanwhile.
 */
export function useFollowed<T>(
  key: readonly unknown[],
  version: unknown,
  ask: (signal: AbortSignal, before: T | undefined) => Promise<T>,
): Followed<T> {
  const query = useQuery({
    queryKey: key,
    queryFn: async ({ signal, client }) => {
      const before = client.getQueryData<{ of: unknown; value: T }>(key);
      return { of: version, value: await ask(signal, before?.value) };
    },
    structuralSharing: false,
  });
  const { data, isFetching, isError, refetch } = query;
  const late = !isFetching && !isError && data !== undefined && data.of !== version;
  useEffect(() => {
    if (late) void refetch();
  }, [late, refetch]);
  return { data: data?.value, error: query.error };
}
