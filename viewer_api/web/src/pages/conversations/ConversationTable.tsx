import type { ConversationHead } from "../../api/conversations";
import { Ago } from "../../components/Ago";
import { count, duration, money } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { Table } from "../../ui/Page";
import styles from "./ConversationTable.module.css";

interface Props {
  readonly conversations: readonly ConversationHead[];
  readonly withUser: boolean;
}

const USER = "User";

export function ConversationTable({ conversations, withUser }: Props) {
  if (conversations.length === 0) return <p className="quiet">None yet.</p>;
  return (
    <Table
      label="Conversations"
      head={["Conversation", ...(withUser ? [USER] : []), "Tool calls", "Tokens", "Cost", "Lasted", "Began"]}
      testId="conversation-list"
    >
      {conversations.map((conversation) => (
        <tr key={conversation.conversation_id} data-testid="conversation-row">
          <td className={styles["title"]}>
            <Link to={to("conversations", String(conversation.conversation_id))}>{titleOf(conversation)}</Link>
          </td>
          {withUser && (
            <td className={styles["user"]}>
              {conversation.user_id === null ? (
                <span className="quiet">no user</span>
              ) : (
                <Link to={to("users", String(conversation.user_id))}>{conversation.email ?? conversation.full_name ?? `user ${conversation.user_id}`}</Link>
              )}
            </td>
          )}
          <td>{conversation.tool_calls}</td>
          <td>{count(conversation.total_tokens)}</td>
          <td>{conversation.estimated_cost === null ? "–" : money(conversation.estimated_cost)}</td>
          <td className={styles["tight"]}>{lasted(conversation)}</td>
          <td className={styles["tight"]}>{conversation.started_at === null ? "–" : <Ago iso={conversation.started_at} />}</td>
        </tr>
      ))}
    </Table>
  );
}

export function titleOf({ title, conversation_id: id }: Pick<ConversationHead, "title" | "conversation_id">): string {
  const words = title?.trim() ?? "";
  return words === "" ? `Conversation ${id}` : words;
}

/** A conversation of one message has no duration. */
export function lasted({ duration_seconds: seconds }: Pick<ConversationHead, "duration_seconds">): string {
  return seconds === null || seconds === 0 ? "–" : duration(seconds * 1000);
}
