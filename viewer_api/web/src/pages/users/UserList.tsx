import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { nameOf, searchPeople } from "../../api/monitoring";
import { useDelayed } from "../../hooks/useDelayed";
import { useWatched } from "../../hooks/useWatched";
import { Link } from "../../navigation/Link";
import { one, to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Chip } from "../../ui/Chip";
import { TextField } from "../../ui/Field";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { Page, Table } from "../../ui/Page";
import styles from "./UserList.module.css";

const MOST = 200;

export function UserList() {
  const { route, change } = useNavigation();
  const [text, setText] = useState(one(route.query, "q") ?? "");
  const wanted = useDelayed(text.trim(), 200);
  useEffect(() => change({ q: wanted }, "replace"), [wanted]);
  const { data, error, isPending } = useQuery({
    queryKey: ["people", "list", wanted],
    queryFn: ({ signal }) => searchPeople(wanted, signal, MOST),
    placeholderData: keepPreviousData,
  });
  const { users: watched = [] } = useWatched();
  return (
    <Page
      title="Users"
      testId="users-page"
      head={
        <>
          <TextField label="E-mail address, name or id" hideLabel placeholder="E-mail, name or id" type="search" value={text} onChange={setText} testId="users-search" />
          <span className="quiet" role="status">
            {data !== undefined && (data.length === MOST ? `the ${MOST} most recently seen` : `${data.length.toLocaleString()} ${data.length === 1 ? "user" : "users"}`)}
          </span>
        </>
      }
    >
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {isPending ? (
        <Loading label="Users are loading" />
      ) : (data ?? []).length === 0 ? (
        <Empty title={wanted === "" ? "No user has been seen yet" : "No user matches"}>
          <p>A gateway tells who its users are when it identifies them: see “Identity” in the documentation.</p>
        </Empty>
      ) : (
        <Table label="Users" head={["User", "E-mail", { text: "Id", wideOnly: true }, "Watched"]} testId="user-list">
          {data?.map((person) => (
            <tr key={person.userId} data-testid="user-row">
              <td>
                <Link to={to("users", person.userId)}>{nameOf(person)}</Link>
              </td>
              <td className={styles["name"]}>{person.email ?? <span className="quiet">–</span>}</td>
              <td className="wide-only">{person.userId}</td>
              <td>{watched.some(({ userId }) => userId === person.userId) && <Chip>yes</Chip>}</td>
            </tr>
          ))}
        </Table>
      )}
    </Page>
  );
}
