import type { Counted } from "../../api/statistics";
import { Link } from "../../navigation/Link";
import { flowsAt } from "../flows/filters";

interface Props {
  readonly counted: Counted | null;
  /** What these flows are, for who cannot see the column. */
  readonly label: string;
}

/** A number of flows, which leads to exactly these. */
export function CountLink({ counted, label }: Props) {
  if (counted === null) return <span className="quiet">–</span>;
  const text = `${counted.at_least === true ? "≥ " : ""}${counted.count.toLocaleString()}`;
  if (counted.link === null) return counted.count === 0 ? <span className="quiet">0</span> : <>{text}</>;
  return (
    <Link to={flowsAt(counted.link)} label={`${text} ${label}`} testId="count-link">
      {text}
    </Link>
  );
}
