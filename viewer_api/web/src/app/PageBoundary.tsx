import { Component, type ReactNode } from "react";
import { Button } from "../ui/Button";
import { Notice } from "../ui/Notice";

interface Props {
  /** What stands there instead; a notice when left out. */
  readonly instead?: ReactNode;
  readonly children: ReactNode;
}

/**
 * Keeps what goes wrong in a page inside of it: the menu stays. A page that was open while the viewer was updated cannot
 * load the parts any more that it has not loaded yet.
 */
export class PageBoundary extends Component<Props, { readonly problem: string | null }> {
  override readonly state = { problem: null };

  static getDerivedStateFromError(error: unknown) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (this.state.problem === null) return this.props.children;
    if (this.props.instead !== undefined) return this.props.instead;
    return (
      <Notice kind="problem" testId="page-failed" action={<Button onPress={() => location.reload()}>Reload</Button>}>
        This page could not be shown. If the viewer was updated meanwhile, or was away for a moment, reloading helps. ({this.state.problem})
      </Notice>
    );
  }
}
