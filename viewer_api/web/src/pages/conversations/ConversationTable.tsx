import type { ConversationHead } from "../../api/conversations";
import { Ago } from "../../components/Ago";
import { count, duration, money } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { Table, type Column } from "../../ui/Page";
import styles from "./ConversationTable.module.css";

interface Props {
  readonly conversations: readonly ConversationHead[];
  readonly withUser: boolean;
}

const numeric = (text: string): Column => ({ text, number: true, wideOnly: true });
const NONE = <span className="quiet">–</span>;

export function ConversationTable({ conversations, withUser }: Props) {
  if (conversations.length === 0) return <p className="quiet">None yet.</p>;
  const withCost = conversations.some(({ estimated_cost: cost }) => cost !== null);
  return (
    <Table
      label="Conversations"
      head={["Conversation", ...(withUser ? ["User"] : []), numeric("Tool calls"), numeric("Tokens"), ...(withCost ? [numeric("Cost")] : []), numeric("Lasted"), "Began"]}
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
                <Link to={to("users", String(conversation.user_id))}>{conversation.full_name ?? conversation.email ?? `user ${conversation.user_id}`}</Link>
              )}
            </td>
          )}
          <td className="number wide-only">{conversation.tool_calls === 0 ? NONE : conversation.tool_calls}</td>
          <td className="number wide-only">{conversation.total_tokens === 0 ? NONE : count(conversation.total_tokens)}</td>
          {withCost && <td className="number wide-only">{conversation.estimated_cost === null ? NONE : money(conversation.estimated_cost)}</td>}
          <td className={`${styles["tight"]} number wide-only`}>{lasted(conversation)}</td>
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
