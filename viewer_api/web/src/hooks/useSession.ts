import { useCallback, useEffect, useState } from "react";
import { Problem } from "../api/http";
import { signIn, signOut, takeCode, takeFailure, whoAmI, type Session } from "../api/session";

export type SessionState =
  | { readonly kind: "asking" }
  | { readonly kind: "in"; readonly session: Session }
  | { readonly kind: "out"; readonly problem: string | null };

const SENT_BACK = "The sign-in failed. The viewer's log says why.";
const WRONG_CODE = new Set(["code_invalid", "too_many_attempts"]);

/** Signs in with the code of the address, or finds out who is signed in already. */
async function enter(): Promise<SessionState> {
  const code = takeCode(location, history);
  const failed = takeFailure(location, history);
  try {
    return { kind: "in", session: await (code === null ? whoAmI() : signIn(code)) };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // A used link does not sign out a user who is signed in already.
    if (code !== null && WRONG_CODE.has(error.code)) {
      const known = await whoAmI().catch(() => null);
      if (known !== null) return { kind: "in", session: known };
    }
    if (code !== null || error.status !== 401) return { kind: "out", problem: error.message };
    return { kind: "out", problem: failed ? SENT_BACK : null };
  }
}

interface Changes {
  readonly entered: (session: Session) => void;
  readonly leave: () => void;
  readonly lost: () => void;
}

export function useSession(): [SessionState, Changes] {
  const [state, setState] = useState<SessionState>({ kind: "asking" });
  useEffect(() => {
    const ask = () => void enter().then(setState);
    ask();
    // A fresh link pasted into this tab only changes the fragment.
    const onHash = () => {
      if (location.hash.startsWith("#code=")) ask();
    };
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  const entered = useCallback((session: Session) => setState({ kind: "in", session }), []);
  const lost = useCallback(() => setState({ kind: "out", problem: null }), []);
  const leave = useCallback(() => {
    void signOut()
      .catch(() => undefined)
      .then(lost);
  }, [lost]);
  return [state, { entered, leave, lost }];
}
