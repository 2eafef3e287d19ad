import { useEffect, useState, type FormEvent } from "react";
import { Button } from "../ui/Button";
import { TextField } from "../ui/Field";
import { Notice } from "../ui/Notice";
import styles from "./SignIn.module.css";
import { providerUrl, signInByToken, signInMethods, type Session } from "../api/session";

interface Props {
  readonly problem: string | null;
  readonly onEntered: (session: Session) => void;
}

/** The sign-in page: every sign-in method of this viewer. */
export default function SignIn({ problem, onEntered }: Props) {
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
    <main className={styles["page"]} data-testid="sign-in">
      <h1>Spanflow</h1>
      {told !== null && <Notice kind="problem">{told}</Notice>}
      {atProvider && (
        <a
          className={styles["provider"]}
          href={providerUrl(location.hash)}
          onClick={(event) => {
            // The view may have changed since this was shown: that changes only the fragment.
            event.currentTarget.href = providerUrl(location.hash);
          }}
        >
          Sign in with your organisation
        </a>
      )}
      <form onSubmit={submit} className={styles["token"]}>
        <TextField
          label={atProvider ? "Or with an access token" : "Access token"}
          type="password"
          autoComplete="off"
          value={token}
          onChange={setToken}
        />
        <Button type="submit" isDisabled={busy || token.trim() === ""}>
          Sign in
        </Button>
      </form>
      <p className="quiet">
        Or open the link that the viewer printed when it started: it signs one browser in, within ten minutes. For another, press Enter in the terminal
        where <code>spanflow up</code> or <code>make demo</code> runs.
      </p>
    </main>
  );
}
