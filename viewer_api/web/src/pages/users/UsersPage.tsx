import { useSignedIn } from "../../app/session";
import { onlyThemselves } from "../../api/session";
import { useNavigation } from "../../navigation/useNavigation";
import { UserList } from "./UserList";
import { UserView } from "./UserView";

/** All users whom a gateway has seen, or one of them. */
export default function UsersPage() {
  const { route } = useNavigation();
  const own = onlyThemselves(useSignedIn());
  const shown = route.id ?? own;
  return shown === null ? <UserList /> : <UserView key={shown} userId={shown} />;
}
