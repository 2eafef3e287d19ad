import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { monitoringPolicy, type Person } from "../../api/monitoring";
import { PersonSearch } from "../../components/PersonSearch";
import { WatchTerms } from "../../components/WatchTerms";

interface Props {
  readonly onWatched: (userId: string) => void;
}

/** Find a person, give a reason and a duration, and watch. */
export function WatchForm({ onWatched }: Props) {
  const [person, setPerson] = useState<Person | null>(null);
  const { data: policy } = useQuery({
    queryKey: ["monitoring policy"],
    queryFn: ({ signal }) => monitoringPolicy(signal),
    staleTime: 60_000,
  });
  return (
    <section aria-labelledby="watch-title">
      <h2 id="watch-title">Watch a user</h2>
      <PersonSearch label="Person" onChoose={setPerson} />
      {person !== null && (
        <WatchTerms
          key={`${person.userId} ${policy === undefined}`}
          person={person}
          policy={policy}
          onCancel={() => setPerson(null)}
          onWatched={() => {
            setPerson(null);
            onWatched(person.userId);
          }}
        />
      )}
    </section>
  );
}
