import { lazy, Suspense, useEffect, useMemo, useState, type ReactNode } from "react";
import { useShortcuts } from "../../app/shortcuts";
import type { Flow } from "../../api/flows";
import { SpanDetails } from "../../components/SpanDetails";
import { useFlowTree, type FlowTree } from "../../hooks/useFlowTree";
import type { FlowModel } from "../../live/liveFlows";
import type { TreeNode } from "../../reducer/tree";
import { appearance, label } from "../../tree/appearance";
import { foldedAll, revealed, unfoldedAll, UNFOCUSED, type Focus } from "../../tree/rows";
import { matches } from "../../tree/search";
import { failures, failureWords } from "../../tree/sums";
import { timelineBelow } from "../../tree/timeline";
import { Button } from "../../ui/Button";
import { Loading, Notice } from "../../ui/Notice";
import { Tabs } from "../../ui/Tabs";
import { FlowToolbar } from "./FlowToolbar";
import { TreeView } from "./TreeView";
import { useFlat } from "./useFlat";
import { useFlowView, type FlowView, type View } from "./useFlowView";
import styles from "./FlowWorkspace.module.css";

const GraphView = lazy(() => import("./GraphView"));
const TranscriptView = lazy(() => import("./TranscriptView"));
const TableView = lazy(() => import("./TableView"));
const JsonView = lazy(() => import("./JsonView"));

interface Props {
  readonly flow: Flow;
  readonly model: FlowModel;
  readonly version: number;
  readonly followed: boolean;
  readonly views: readonly View[];
  /** What stands above the views. */
  readonly head: (shown: FlowTree) => ReactNode;
  /** Whether nothing but this flow can be reached: it is shown by a link. */
  readonly alone?: boolean;
}

/** One flow in several views, with the details of the chosen span beside each of them. */
export function FlowWorkspace(props: Props) {
  const shown = useFlowTree(props.model, props.version, props.followed);
  return shown === undefined ? null : <Shown {...props} shown={shown} />;
}

function Shown({ flow, model, version, shown, views, head, alone = false }: Props & { readonly shown: FlowTree }) {
  const { tree, nowNs } = shown;
  const view = useFlowView(views);
  const { selected, search } = view;
  const [focus, setFocus] = useState<Focus>(() => (selected === null ? UNFOCUSED : revealed(UNFOCUSED, tree, selected)));
  const found = useMemo(() => matches(tree, search), [tree, search]);
  const failed = useMemo(() => failures(tree), [tree]);
  const flat = useFlat(model, tree, view.critical, selected !== null, alone);
  const root = view.root === null ? undefined : tree.nodes.get(view.root);
  const node = selected === null ? undefined : tree.nodes.get(selected);
  const atNode = tree.nodes.get(focus.at);
  const go = (nodeId: string, open = selected !== null) => {
    setFocus(revealed(focus, tree, nodeId));
    if (open) view.select(nodeId);
  };
  const step = (by: number) => {
    const at = failed.indexOf(focus.at);
    const next = failed[at < 0 ? (by > 0 ? 0 : failed.length - 1) : (at + by + failed.length) % failed.length];
    if (next !== undefined) go(next, true);
  };
  const whole = useMemo(() => (root === undefined ? shown.timeline : timelineBelow(tree, root, nowNs)), [root, shown.timeline, tree, nowNs]);
  const zoomTo = (nodeId: string) => {
    const target = tree.nodes.get(nodeId);
    if (target !== undefined) view.setRange(timelineBelow(tree, target, nowNs), shown.timeline.startNs);
  };
  useShortcuts([
    { keys: "e", text: "Next step that went wrong", group: "Flow", run: () => step(1) },
    { keys: "E", text: "Previous step that went wrong", group: "Flow", run: () => step(-1) },
    { keys: "c", text: "Critical path", group: "Flow", run: () => view.setCritical(!view.critical) },
    { keys: "p", text: "Pin the step to the top, or unpin it", group: "Flow", run: () => atNode !== undefined && view.togglePin(atNode.nodeId) },
    { keys: "r", text: "Show only what is below the step", group: "Flow", run: () => atNode !== undefined && view.setRoot(atNode.nodeId) },
    { keys: "R", text: "Show the whole flow", group: "Flow", run: () => view.setRoot(null) },
    { keys: "z", text: "Zoom to the time of the step", group: "Flow", run: () => atNode !== undefined && zoomTo(atNode.nodeId) },
    { keys: "0", text: "Show the whole time", group: "Flow", run: () => view.setRange(null, 0n) },
    { keys: "[", text: "Collapse all", group: "Flow", run: () => setFocus(foldedAll(tree, focus)) },
    { keys: "]", text: "Expand all", group: "Flow", run: () => setFocus(unfoldedAll(tree, focus)) },
  ]);
  useEffect(() => {
    // The address may name a span that has only come now, or another one than before.
    if (selected !== null && selected !== focus.at && tree.nodes.has(selected)) setFocus(revealed(focus, tree, selected));
  }, [selected, node === undefined]);
  const toolbar = (
    <FlowToolbar
      view={view}
      found={found}
      failed={failed}
      failedWords={failureWords(tree, failed)}
      at={focus.at}
      hasCritical={flat.known}
      onGo={go}
      onFailure={() => step(1)}
      onFold={() => setFocus(foldedAll(tree, focus))}
      onUnfold={() => setFocus(unfoldedAll(tree, focus))}
    />
  );
  return (
    <>
      {head(shown)}
      <div className={styles["workspace"]} data-details={node !== undefined} data-open={model.open} data-testid="flow" data-look={shown.look.look}>
        <div className={styles["views"]}>
          <Tabs label="Views of the flow" tabs={views} selected={view.view} onSelect={view.show} beside={toolbar}>
            <Suspense fallback={<Loading label="The view is loading" />}>
              {viewOf(view, {
                tree: () => (
                  <>
                    {root !== undefined && (
                      <Notice action={<Button onPress={() => view.setRoot(null)}>Show the whole flow</Button>} testId="span-as-root">
                        Only what is below <strong>{label(root)}</strong> is shown.
                      </Notice>
                    )}
                    {flat.problem !== null && <Notice kind="problem">{flat.problem}</Notice>}
                    <TreeView
                      shown={shown}
                      whole={whole}
                      root={root}
                      name={nameOf(root ?? tree.roots[0], model)}
                      view={view}
                      focus={focus}
                      onFocus={setFocus}
                      found={found}
                      critical={flat.critical}
                      percentiles={flat.percentiles}
                    />
                  </>
                ),
                graph: () => <GraphView shown={shown} root={root} focus={focus} onFocus={setFocus} selected={selected} onSelect={view.select} critical={flat.critical} />,
                transcript: () => <TranscriptView flowId={model.flowId} contents={flow.contents} open={model.open} onSelect={(nodeId) => go(nodeId, true)} />,
                table: () => <TableView shown={shown} selected={selected} onSelect={view.select} />,
                json: () => <JsonView flow={flow} model={model} version={version} />,
              })}
            </Suspense>
          </Tabs>
        </div>
        {node !== undefined && (
          <aside className={styles["details"]} aria-label="Details">
            <SpanDetails
              flowId={model.flowId}
              node={node}
              nowNs={nowNs}
              percentile={flat.percentiles.get(node.nodeId)}
              look={node.nodeId === shown.rootLook?.nodeId ? shown.rootLook.look : appearance(node)}
              link={view.linkTo(node.nodeId)}
              contents={flow.contents}
              alone={alone}
              onClose={() => view.select(null)}
              actions={{
                pinned: view.pinned.includes(node.nodeId),
                onPin: () => view.togglePin(node.nodeId),
                onRoot: () => view.setRoot(node.nodeId),
                onZoom: () => zoomTo(node.nodeId),
              }}
            />
          </aside>
        )}
      </div>
    </>
  );
}

const nameOf = (node: TreeNode | undefined, model: FlowModel) => (node === undefined ? model.flowId : label(node));

function viewOf(view: FlowView, views: Readonly<Record<View["id"], () => ReactNode>>): ReactNode {
  return views[view.view as keyof typeof views]();
}
