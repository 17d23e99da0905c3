// The pages a person goes to, in the order of the navigation.

import {
  Activity,
  Bot,
  Inbox,
  ListTree,
  type LucideIcon,
  MessagesSquare,
  Network,
  ScrollText,
  Settings,
  Spline,
} from "lucide-react";

export interface PageLink {
  readonly to: "/" | "/mesh" | "/agents" | "/tasks" | "/inbox" | "/chat" | "/events" | "/seams" | "/settings";
  readonly name: string;
  /** Pressed after `g`. */
  readonly key: string;
  readonly icon: LucideIcon;
  /** Whether it stands in the bar of a narrow screen. */
  readonly first?: boolean;
}

export const PAGES: readonly PageLink[] = [
  { to: "/", name: "Overview", key: "o", icon: Activity, first: true },
  { to: "/tasks", name: "Tasks", key: "t", icon: ListTree, first: true },
  { to: "/agents", name: "Agents", key: "a", icon: Bot, first: true },
  { to: "/mesh", name: "Mesh", key: "m", icon: Network },
  { to: "/inbox", name: "Inbox", key: "i", icon: Inbox, first: true },
  { to: "/chat", name: "Chat", key: "c", icon: MessagesSquare },
  { to: "/events", name: "Events", key: "e", icon: ScrollText },
  { to: "/seams", name: "Seams", key: "s", icon: Spline },
  { to: "/settings", name: "Settings", key: "p", icon: Settings },
];
