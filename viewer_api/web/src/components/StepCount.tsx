/** How much there is of a flow, among the facts of its head: its checkpoints, or its spans where it has none. */
export function StepCount({ steps, spans }: { steps: number; spans: number }) {
  return (
    <div>
      <dt>{steps === 0 ? "Spans" : "Steps"}</dt>
      <dd data-testid="flow-steps">
        {(steps === 0 ? spans : steps).toLocaleString()} {steps > 0 && <span className="quiet">in {spans.toLocaleString()} spans</span>}
      </dd>
    </div>
  );
}
