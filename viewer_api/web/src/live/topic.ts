import type { ServerMessage } from "./messages";

/** What can be followed: everything of a user, or one flow. */
export interface Topic {
  readonly field: "user_id" | "flow_id";
  readonly id: string;
  /** The reason, where one is required. */
  readonly reason?: string;
}

export const userTopic = (id: string): Topic => ({ field: "user_id", id });

export const flowTopic = (id: string, reason?: string): Topic => ({
  field: "flow_id",
  id,
  ...(reason === undefined ? {} : { reason }),
});

/** Two topics with the same key are the same. */
export const keyOf = ({ field, id }: Pick<Topic, "field" | "id">): string => `${field} ${id}`;

/** The key of the topic that a message is about; undefined when it is about none. */
export function keyIn(message: ServerMessage): string | undefined {
  // What is said of a user names flows as well.
  if ("user_id" in message && message.user_id !== undefined) return keyOf({ field: "user_id", id: String(message.user_id) });
  if ("flow_id" in message && message.flow_id !== undefined) return keyOf({ field: "flow_id", id: message.flow_id });
  return undefined;
}
