// The pages and their addresses. What a first view does not need is loaded when it is opened.

import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { AgentsPage } from "./features/agents/AgentsPage";
import { OverviewPage } from "./features/overview/OverviewPage";
import { PageError } from "./features/shell/PageError";
import { Shell } from "./features/shell/Shell";
import { TasksPage } from "./features/tasks/TasksPage";
import {
  agentSearch,
  agentsSearch,
  auditSearch,
  chatSearch,
  eventsSearch,
  meshSearch,
  parseQuery,
  seamsSearch,
  taskSearch,
  tasksSearch,
  writeQuery,
} from "./lib/url";
import { Empty } from "./ui/Panel";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <Empty title="There is no such page">Ctrl-K leads to every page.</Empty>,
  errorComponent: PageError,
});
const parent = { getParentRoute: () => root } as const;

const pages = root.addChildren([
  createRoute({ ...parent, path: "/", component: OverviewPage }),
  createRoute({
    ...parent,
    path: "/mesh",
    validateSearch: meshSearch,
    component: lazyRouteComponent(() => import("./features/mesh/MeshPage"), "MeshPage"),
  }),
  createRoute({ ...parent, path: "/agents", validateSearch: agentsSearch, component: AgentsPage }),
  createRoute({
    ...parent,
    path: "/agent",
    validateSearch: agentSearch,
    component: lazyRouteComponent(() => import("./features/agents/AgentPage"), "AgentPage"),
  }),
  createRoute({ ...parent, path: "/tasks", validateSearch: tasksSearch, component: TasksPage }),
  createRoute({
    ...parent,
    path: "/task",
    validateSearch: taskSearch,
    component: lazyRouteComponent(() => import("./features/tasks/TaskPage"), "TaskPage"),
  }),
  createRoute({
    ...parent,
    path: "/inbox",
    component: lazyRouteComponent(() => import("./features/inbox/InboxPage"), "InboxPage"),
  }),
  createRoute({
    ...parent,
    path: "/chat",
    validateSearch: chatSearch,
    component: lazyRouteComponent(() => import("./features/chat/ChatPage"), "ChatPage"),
  }),
  createRoute({
    ...parent,
    path: "/events",
    validateSearch: eventsSearch,
    component: lazyRouteComponent(() => import("./features/events/EventsPage"), "EventsPage"),
  }),
  createRoute({
    ...parent,
    path: "/audit",
    validateSearch: auditSearch,
    component: lazyRouteComponent(() => import("./features/events/AuditPage"), "AuditPage"),
  }),
  createRoute({
    ...parent,
    path: "/seams",
    validateSearch: seamsSearch,
    component: lazyRouteComponent(() => import("./features/seams/SeamsPage"), "SeamsPage"),
  }),
  createRoute({
    ...parent,
    path: "/settings",
    component: lazyRouteComponent(() => import("./features/settings/SettingsPage"), "SettingsPage"),
  }),
]);

export function createPages() {
  return createRouter({
    routeTree: pages,
    parseSearch: parseQuery,
    stringifySearch: writeQuery,
    defaultErrorComponent: PageError,
    scrollRestoration: false,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createPages>;
  }
}
