import { count, duration, money } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { Loading } from "../../ui/Notice";
import { Section, Table, type Column } from "../../ui/Page";
import { CountLink } from "./CountLink";
import { useByUser, useSteps } from "./useStatistics";
import styles from "./StatisticsPage.module.css";

const number = (text: string): Column => ({ text, number: true });
const MODELS = { group_by: "model", sort: "tokens", limit: 8 };

/** Who and what uses most tokens. */
export function UsageSection({ withUsers }: { readonly withUsers: boolean }) {
  const models = useSteps(MODELS);
  const users = useByUser(withUsers);
  return (
    <div className={styles["columns"]}>
      <Section title="Tokens and cost by model" testId="by-model">
        {models.data === undefined ? (
          <Loading label="The models are loading" />
        ) : models.data.groups.length === 0 ? (
          <p className="quiet">No model was called in this time.</p>
        ) : (
          <Table label="Models" head={["Model", number("Calls"), number("p95"), number("First token"), number("Tokens in"), number("Tokens out"), number("Cost")]}>
            {models.data.groups.map((model) => (
              <tr key={String(model.value)} data-testid="model-row">
                <td className={styles["step"]}>{model.other === true ? "(other)" : <Link to={to("flows", null, { model: String(model.value) })}>{String(model.value)}</Link>}</td>
                <td className="number">{model.steps.toLocaleString()}</td>
                <td className="number">{model.p95_ms === null ? "–" : duration(model.p95_ms)}</td>
                <td className="number" title="95th percentile of the time to the first token">
                  {typeof model.first_token?.p95_ms === "number" ? duration(model.first_token.p95_ms) : "–"}
                </td>
                <td className="number">{count(model.tokens_input)}</td>
                <td className="number">{count(model.tokens_output)}</td>
                <td className="number">{model.cost === null ? "–" : money(model.cost)}</td>
              </tr>
            ))}
          </Table>
        )}
      </Section>
      {withUsers && (
        <Section title="By user" testId="by-user">
          {users.data === undefined ? (
            <Loading label="The users are loading" />
          ) : users.data.groups.length === 0 ? (
            <p className="quiet">No flow had a user in this time.</p>
          ) : (
            <Table label="Users" head={["User", number("Flows"), number("Denied"), number("p95"), number("Tokens"), number("Cost")]}>
              {users.data.groups.map((user) => (
                <tr key={String(user.value)} data-testid="user-row">
                  <td className={styles["step"]}>
                    {user.value == null ? (
                      <span className="quiet">no user</span>
                    ) : (
                      <Link to={to("users", String(user.value))}>{user.full_name ?? user.email ?? `user ${user.value}`}</Link>
                    )}
                  </td>
                  <td className="number">
                    <CountLink counted={user.flows} label="flows" />
                  </td>
                  <td className="number">
                    <CountLink counted={user.flows_denied} label="flows that were denied" />
                  </td>
                  <td className="number">{user.p95_ms === null ? "–" : duration(user.p95_ms)}</td>
                  <td className="number">{count(user.tokens_input + user.tokens_output)}</td>
                  <td className="number">{user.cost === null ? "–" : money(user.cost)}</td>
                </tr>
              ))}
            </Table>
          )}
        </Section>
      )}
    </div>
  );
}
