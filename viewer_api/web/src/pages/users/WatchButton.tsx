import { useMutation, useQuery } from "@tanstack/react-query";
import { Eye, EyeOff } from "lucide-react";
import { useState } from "react";
import { monitoringPolicy, nameOf, unwatch, type Person } from "../../api/monitoring";
import type { UserDocument } from "../../api/users";
import { WatchTerms } from "../../components/WatchTerms";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { until } from "../../format";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { tell } from "../../ui/tell";

/** Until when a user is watched, and why. */
export function WatchNote({ user: { watch } }: { readonly user: UserDocument }) {
  if (!watch) return null;
  return (
    <span data-testid="user-watch">
      {" · "}
      watched {watch.expires_at === null ? "until ended" : <>for {until(watch.expires_at, Date.now())}</>}
      {watch.reason === null ? "" : `: ${watch.reason}`}
    </span>
  );
}

/** Watches a user, or ends it. */
export function WatchButton({ user, onChanged }: { readonly user: UserDocument; readonly onChanged: () => void }) {
  const { go } = useNavigation();
  const [open, setOpen] = useState(false);
  const person: Person = { userId: String(user.user_id), email: user.email, fullName: user.full_name };
  const stop = useMutation({
    mutationFn: () => unwatch(person.userId),
    onSuccess: () => {
      tell(`${nameOf(person)} is no longer watched.`);
      onChanged();
    },
  });
  const { data: policy } = useQuery({
    queryKey: ["monitoring policy"],
    queryFn: ({ signal }) => monitoringPolicy(signal),
    staleTime: 60_000,
    enabled: open,
  });
  if (user.watch) {
    return (
      <>
        <Button icon={Eye} onPress={() => go(to("live", null, { user: person.userId }))}>
          Open live
        </Button>
        <Button icon={EyeOff} onPress={() => stop.mutate()} isDisabled={stop.isPending}>
          Stop watching
        </Button>
      </>
    );
  }
  return (
    <>
      <Button look="main" icon={Eye} onPress={() => setOpen(true)} testId="watch-user">
        Watch
      </Button>
      <Dialog title="Watch a user" open={open} onClose={() => setOpen(false)}>
        <WatchTerms
          key={String(policy === undefined)}
          person={person}
          policy={policy}
          onCancel={() => setOpen(false)}
          onWatched={() => {
            setOpen(false);
            onChanged();
          }}
        />
      </Dialog>
    </>
  );
}
