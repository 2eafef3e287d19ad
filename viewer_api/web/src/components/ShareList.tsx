import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link2Off } from "lucide-react";
import { listShares, revokeShare } from "../api/shares";
import { Link } from "../navigation/Link";
import { to } from "../navigation/route";
import { IconButton } from "../ui/Button";
import { Notice } from "../ui/Notice";
import { Table } from "../ui/Page";
import { tell } from "../ui/tell";
import { Ago } from "./Ago";

/** Links of this operator, of everyone for an admin: to one flow, or to any. */
export function ShareList({ flowId }: { readonly flowId: string | null }) {
  const client = useQueryClient();
  const { data: shares, error } = useQuery({ queryKey: ["shares", flowId], queryFn: ({ signal }) => listShares(flowId, signal) });
  const revoke = useMutation({
    mutationFn: revokeShare,
    onSuccess: () => {
      tell("The link is revoked.");
      return client.invalidateQueries({ queryKey: ["shares"] });
    },
  });
  const problem = error ?? revoke.error;
  if (problem !== null) return <Notice kind="problem">{problem.message}</Notice>;
  if (shares === undefined) return null;
  if (shares.length === 0) return <p className="quiet">{flowId === null ? "There are no links." : "There is no link to this flow."}</p>;
  const about = flowId === null ? ["Flow"] : [];
  return (
    <Table label="Links" head={[...about, "Made", "By", "Ends", "Contents", "Opened", { text: "Actions", hidden: true }]} testId="shares">
      {shares.map((share) => (
        <tr key={share.link_id} data-testid="share" data-state={share.state}>
          {flowId === null && (
            <td>
              <Link to={to("flow", share.flow_id)}>
                <code>{share.flow_id.slice(0, 8)}…</code>
              </Link>
            </td>
          )}
          <td>
            <Ago iso={share.created_at} />
          </td>
          <td>{share.mine ? "you" : share.created_by}</td>
          <td>{share.state === "active" ? <Ago iso={share.expires_at} /> : share.state}</td>
          <td>{share.contents ? "yes" : "no"}</td>
          <td>{share.opened === 0 || share.opened_at === null ? "never" : <>{share.opened}×, last <Ago iso={share.opened_at} /></>}</td>
          <td>
            {share.state === "active" && <IconButton icon={Link2Off} label="Revoke this link" testId="revoke-share" onPress={() => revoke.mutate(share.link_id)} />}
          </td>
        </tr>
      ))}
    </Table>
  );
}
