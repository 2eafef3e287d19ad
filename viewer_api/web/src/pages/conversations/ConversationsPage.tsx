import { useNavigation } from "../../navigation/useNavigation";
import { ConversationList } from "./ConversationList";
import { ConversationView } from "./ConversationView";

/** All conversations, or one of them. */
export default function ConversationsPage() {
  const { route } = useNavigation();
  return route.id === null ? <ConversationList /> : <ConversationView key={route.id} id={route.id} />;
}
