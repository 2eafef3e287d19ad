import { useMemo, useState } from "react";
import type { Flow } from "../../api/flows";
import { SpanDetails } from "../../components/SpanDetails";
import { SpanTree } from "../../components/SpanTree";
import { useFlowTree } from "../../hooks/useFlowTree";
import type { FlowModel } from "../../live/liveFlows";
import { changed, formatRoute, one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { label } from "../../tree/appearance";
import { matches } from "../../tree/search";
import type { Focus } from "../../tree/visibleRows";
import { FlowHead } from "./FlowHead";
import { SearchInFlow } from "./SearchInFlow";
import styles from "./FlowWorkspace.module.css";

interface Props {
  readonly flow: Flow;
  readonly model: FlowModel;
  readonly version: number;
  readonly followed: boolean;
}

/** A flow's tree with the details of the chosen span beside it. What is chosen and searched stands in the address. */
export function FlowWorkspace({ flow, model, version, followed }: Props) {
  const { route, change } = useNavigation();
  const selected = one(route.query, "span");
  const search = one(route.query, "find") ?? "";
  const [focus, setFocus] = useState<Focus>({ nodeId: selected ?? "", collapsed: new Set() });
  const shown = useFlowTree(model, version, followed);
  const found = useMemo(() => (shown === undefined ? [] : matches(shown.tree, search)), [shown?.tree, search]);
  if (shown === undefined) return null;
  const { tree, timeline, nowNs } = shown;
  const root = tree.roots[0];
  const node = selected === null ? undefined : tree.nodes.get(selected);
  const select = (nodeId: string | null) => change({ span: nodeId }, "replace");
  return (
    <>
      <FlowHead flow={flow} model={model} shown={shown} followed={followed} />
      <SearchInFlow
        text={search}
        found={found}
        at={found.indexOf(focus.nodeId)}
        onText={(text) => change({ find: text }, "replace")}
        onGo={(nodeId) => {
          setFocus({ nodeId, collapsed: new Set() });
          if (selected !== null) select(nodeId);
        }}
      />
      <div className={styles["workspace"]} data-details={node !== undefined} data-open={model.open} data-testid="flow" data-look={shown.look.look}>
        <div className={styles["tree"]}>
          <SpanTree
            tree={tree}
            timeline={timeline}
            nowNs={nowNs}
            label={root === undefined ? model.flowId : label(root)}
            focus={focus}
            onFocus={setFocus}
            selected={selected}
            onSelect={select}
            found={new Set(found)}
          />
        </div>
        {node !== undefined && (
          <aside className={styles["details"]}>
            <SpanDetails
              node={node}
              nowNs={nowNs}
              link={new URL(formatRoute({ ...route, query: changed({}, { span: node.nodeId }) }), location.href).href}
              onClose={() => select(null)}
            />
          </aside>
        )}
      </div>
    </>
  );
}
