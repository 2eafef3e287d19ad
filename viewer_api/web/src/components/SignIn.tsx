import { useEffect, useState, type FormEvent } from "react";
import { providerUrl, signInByToken, signInMethods, type Session } from "../api/session";

interface Props {
  readonly problem: string | null;
  readonly onEntered: (session: Session) => void;
}

/** What somebody sees who is not signed in: every way in that this viewer has. */
export function SignIn({ problem, onEntered }: Props) {
  const [atProvider, setAtProvider] = useState(false);
  const [token, setToken] = useState("");
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    signInMethods(abort.signal).then(
      ({ methods }) => setAtProvider(methods.includes("oidc")),
      // Without it the other ways still work.
      () => {},
    );
    return () => abort.abort();
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    signInByToken(token.trim())
      .then(onEntered, (error: unknown) => setRefused(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  const told = refused ?? problem;
  return (
    <main className="centred card" data-testid="sign-in">
      <h1>Spanflow</h1>
      {told !== null && (
        <p role="alert" className="alert">
          {told}
        </p>
      )}
      {atProvider && (
        <p>
          <a
            className="main"
            href={providerUrl(location.hash)}
            onClick={(event) => {
              // The view may have changed since this was shown: that changes only the fragment.
              event.currentTarget.href = providerUrl(location.hash);
            }}
          >
            Sign in at your organisation
          </a>
        </p>
      )}
      <form onSubmit={submit} className="token">
        <label>
          {atProvider ? "Or with an access token" : "Access token"}
          <input
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        <button type="submit" disabled={busy || token.trim() === ""}>
          Sign in
        </button>
      </form>
      <p className="quiet">
        Or open the link that the viewer printed when it started: it signs one browser in, within ten minutes. For another, press Enter in the terminal
        where <code>spanflow up</code> or <code>make demo</code> runs.
      </p>
    </main>
  );
}
