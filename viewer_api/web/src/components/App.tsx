import { useSession } from "../hooks/useSession";
import { Dashboard } from "./Dashboard";
import { SignIn } from "./SignIn";

export function App() {
  const [state, { entered, leave, lost }] = useSession();
  switch (state.kind) {
    case "asking":
      return (
        <p className="centred" role="status">
          Signing in…
        </p>
      );
    case "out":
      return <SignIn problem={state.problem} onEntered={entered} />;
    case "in":
      return <Dashboard session={state.session} onLeave={leave} onSignedOut={lost} />;
  }
}
