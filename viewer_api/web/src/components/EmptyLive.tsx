/** What to do when there is nothing to see: the same by mouse and by command. */
export function EmptyLive({ someWatched }: { readonly someWatched: boolean }) {
  const url = new URL("api/v1/monitoring/enable/7?ttl_hours=1", document.baseURI).href;
  return (
    <section className="card" data-testid="empty">
      <h2>{someWatched ? "Choose somebody" : "Nobody is watched"}</h2>
      {someWatched ? (
        <p>Tick a watched user on the left. Each gets a panel, and their requests grow in it as they happen.</p>
      ) : (
        <>
          <p>Find a person on the left, say why and for how long, and watch. From a terminal, for user 7 and one hour:</p>
          <pre tabIndex={0}>{`curl -X POST -H "Authorization: Bearer $SPANFLOW_VIEWER_TOKEN" \\
  -H "Content-Type: application/json" -d '{"reason": "ticket 4711"}' \\
  "${url}"`}</pre>
        </>
      )}
    </section>
  );
}
