/** What somebody sees who is not signed in: where the link that signs them in comes from. */
export function SignIn({ problem }: { readonly problem: string | null }) {
  return (
    <main className="centred card" data-testid="sign-in">
      <h1>Spanflow</h1>
      {problem !== null && (
        <p role="alert" className="alert">
          {problem}
        </p>
      )}
      <p>Open the link that the viewer printed when it started. It signs this browser in, works once, and for ten minutes.</p>
      <p>For another link, press Enter in the terminal where <code>spanflow up</code> or <code>make demo</code> runs.</p>
      <p>Somebody who is signed in, or has the access token, makes another code with</p>
      <pre tabIndex={0}>{`curl -X POST -H "Authorization: Bearer $SPANFLOW_VIEWER_TOKEN" \\\n  ${new URL("api/v1/session/codes", document.baseURI).href}`}</pre>
      <p>and opens this page with <code>#code=…</code> behind its address.</p>
    </main>
  );
}
