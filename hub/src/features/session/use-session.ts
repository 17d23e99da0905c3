import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { SessionAnswer, SessionBody } from "../../generated/wire";
import { useHub, useLive } from "../../hub";
import { type Api, ApiError, isUnauthorized } from "../../lib/api";

/** Who is logged in; `note` says why nobody is. */
export interface Standing {
  readonly session: SessionAnswer | null;
  readonly note: string | null;
}

export interface Session {
  readonly standing: Standing | undefined;
  /** Why it is not known who is logged in. */
  readonly failure: Error | null;
  /** The session ended while the page was open. */
  readonly expired: boolean;
  readonly retry: () => void;
  readonly login: (body: SessionBody) => void;
  readonly loginFailure: Error | null;
  readonly loggingIn: boolean;
  /** Sets the administrator's password, which is missing. */
  readonly setPassword: (password: string) => void;
  readonly passwordFailure: Error | null;
  readonly settingPassword: boolean;
  /** Goes on without a password. */
  readonly skipPassword: () => void;
  readonly logout: () => void;
}

const KEY = ["session"] as const;

export function useSession(): Session {
  const { api, live, loginCode } = useHub();
  const queries = useQueryClient();
  const query = useQuery({ queryKey: KEY, queryFn: () => establish(api, loginCode) });
  const login = useMutation({
    mutationFn: (body: SessionBody) => api.login(body),
    onSuccess: (session) => {
      // A first login starts the stream by being there; one in the middle of a visit goes on where it was.
      if (live.read().connection.phase === "unauthorized") live.start();
      queries.setQueryData<Standing>(KEY, { session, note: null });
    },
  });
  const logout = useMutation({
    mutationFn: () => api.logout(),
    onSettled: (_, error) => {
      if (error && !isUnauthorized(error)) return;
      live.clear();
      queries.clear();
      queries.setQueryData<Standing>(KEY, { session: null, note: null });
    },
  });

  const passwordIsDealtWith = () =>
    queries.setQueryData<Standing>(KEY, (standing) =>
      standing?.session
        ? { ...standing, session: { peer_id: standing.session.peer_id, role: standing.session.role } }
        : standing,
    );
  const password = useMutation({
    mutationFn: (text: string) => api.setPassword({ password: text }),
    onSuccess: passwordIsDealtWith,
  });

  const present = Boolean(query.data?.session);
  useEffect(() => {
    if (!present) return;
    live.start();
    return () => live.stop();
  }, [present, live]);

  return {
    standing: query.data,
    failure: query.error,
    expired: useLive().connection.phase === "unauthorized",
    retry: () => void query.refetch(),
    login: login.mutate,
    loginFailure: login.error,
    loggingIn: login.isPending,
    setPassword: password.mutate,
    passwordFailure: password.error,
    settingPassword: password.isPending,
    skipPassword: passwordIsDealtWith,
    logout: () => logout.mutate(),
  };
}

async function establish(api: Api, code: string | null): Promise<Standing> {
  const note = code === null ? null : await redeem(api, code);
  if (note && typeof note !== "string") return { session: note, note: null };
  try {
    return { session: await api.session(), note: null };
  } catch (error) {
    if (isUnauthorized(error)) return { session: null, note };
    throw error;
  }
}

/** The session a login link gives, or why it gives none. An older session may still be good then. */
async function redeem(api: Api, code: string): Promise<SessionAnswer | string> {
  try {
    return await api.login({ code });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return `The login link was not taken: ${error.message}`;
  }
}
