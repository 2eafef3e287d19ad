import { one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { GroupsView } from "./GroupsView";
import { OneAgainstUsual } from "./OneAgainstUsual";
import { TwoFlows } from "./TwoFlows";

/** Two flows step by step (`#/compare?a=<id>&b=<id>`), one against the usual one (`#/compare/<id>`), or what is different about some flows
 * (`#/compare?a.outcome=denied&b.outcome=ok`). */
export default function ComparePage() {
  const { route } = useNavigation();
  const a = one(route.query, "a");
  const b = one(route.query, "b");
  if (route.id !== null) return <OneAgainstUsual key={route.id} flowId={route.id} />;
  return a === null || b === null ? <GroupsView /> : <TwoFlows key={`${a} ${b}`} a={a} b={b} />;
}
