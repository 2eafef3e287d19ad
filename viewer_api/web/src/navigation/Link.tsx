import type { MouseEvent, ReactNode } from "react";
import { formatRoute, type Route } from "./route";
import { useNavigation } from "./useNavigation";

interface Props {
  readonly to: Route;
  readonly children: ReactNode;
  readonly className?: string;
  readonly current?: boolean;
  readonly label?: string;
  readonly title?: string;
  readonly testId?: string;
}

/** A link to another view. Opening it in a new tab works as with any link. */
export function Link({ to, children, className, current, label, title, testId }: Props) {
  const { go } = useNavigation();
  const onClick = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a
      href={formatRoute(to)}
      className={className}
      aria-current={current === true ? "page" : undefined}
      aria-label={label}
      title={title}
      data-testid={testId}
      onClick={onClick}
    >
      {children}
    </a>
  );
}
