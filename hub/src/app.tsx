import { AgentPanel } from "./features/agents/AgentPanel";
import { MeshPanel } from "./features/mesh/MeshPanel";
import { Header } from "./features/overview/Header";
import { Notices } from "./features/overview/Notices";
import { SessionGate } from "./features/session/SessionGate";
import { TaskDetail } from "./features/tasks/TaskDetail";
import { TaskPanel } from "./features/tasks/TaskPanel";
import { useLive } from "./hub";
import type { MeshState } from "./lib/mesh-state";

export function App() {
  return (
    <SessionGate>
      {(session, logout) => (
        <>
          <Header session={session} logout={logout} />
          <Notices />
          <Page />
        </>
      )}
    </SessionGate>
  );
}

function Page() {
  const { mesh, connection } = useLive();
  if (mesh) return <Mesh mesh={mesh} />;
  if (connection.phase === "forbidden") return null;
  return <main className="page page--waiting">Loading the mesh…</main>;
}

function Mesh({ mesh }: { mesh: MeshState }) {
  return (
    <main className="page">
      <AgentPanel mesh={mesh} />
      <MeshPanel mesh={mesh} />
      <TaskPanel mesh={mesh} />
      <TaskDetail mesh={mesh} />
    </main>
  );
}
