import { createContext, useContext } from "react";
import type { Session } from "../api/session";

/** Who is signed in, and what they may do. */
export const SessionContext = createContext<Session | null>(null);

export function useSignedIn(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("there is no session around this component");
  return session;
}
