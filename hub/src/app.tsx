import { RouterProvider } from "@tanstack/react-router";
import { useMemo } from "react";
import { SessionGate } from "./features/session/SessionGate";
import { WhoProvider } from "./hub";
import { createPages } from "./router";

export function App() {
  const pages = useMemo(createPages, []);
  return (
    <SessionGate>
      {(session, logout) => (
        <WhoProvider value={{ session, logout }}>
          <RouterProvider router={pages} />
        </WhoProvider>
      )}
    </SessionGate>
  );
}
