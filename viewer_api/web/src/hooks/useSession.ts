import { useCallback, useEffect, useState } from "react";
import { Problem } from "../api/http";
import { signIn, signOut, takeCode, whoAmI, type Session } from "../api/session";

export type SessionState =
  | { readonly kind: "asking" }
  | { readonly kind: "in"; readonly session: Session }
  | { readonly kind: "out"; readonly problem: string | null };

const WRONG_CODE = new Set(["code_invalid", "too_many_attempts"]);

/** Signs in with the code of the address, or finds out who is signed in already. */
async function enter(): Promise<SessionState> {
  const code = takeCode(location, history);
  try {
    return { kind: "in", session: await (code === null ? whoAmI() : signIn(code)) };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // A used link, opened once more by somebody who is signed in, is no reason to turn them away.
    if (code !== null && WRONG_CODE.has(error.code)) {
      const known = await whoAmI().catch(() => null);
      if (known !== null) return { kind: "in", session: known };
    }
    return { kind: "out", problem: code === null && error.status === 401 ? null : error.message };
  }
}

export function useSession(): [SessionState, { leave: () => void; lost: () => void }] {
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
  const lost = useCallback(() => setState({ kind: "out", problem: null }), []);
  const leave = useCallback(() => {
    void signOut()
      .catch(() => undefined)
      .then(lost);
  }, [lost]);
  return [state, { leave, lost }];
}
