import { Empty } from "../../ui/Notice";

/** What to do when there is nothing to see: the same by mouse and by command. */
export function EmptyWall({ someWatched }: { readonly someWatched: boolean }) {
  if (someWatched) {
    return (
      <Empty title="Choose a watched user">
        <p>Tick a watched user. Each gets a panel, and their requests grow in it as they happen.</p>
      </Empty>
    );
  }
  return (
    <Empty title="No user is watched">
      <p>Find a person, give a reason and a duration, and watch. Or in a terminal, for user 7 and one hour:</p>
      <pre tabIndex={0}>{'spanflow monitor enable 7 --hours 1 --reason "ticket 4711"'}</pre>
    </Empty>
  );
}
