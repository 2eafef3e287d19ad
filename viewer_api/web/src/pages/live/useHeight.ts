import { useEffect, type RefObject } from "react";

/**
 * Tells an element its own height as `--height`. A container query would say it as well, but everything in the element
 * would be styled apart from the rest of the page, in every frame.
 */
export function useHeight(box: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) element.style.setProperty("--height", `${Math.round(entry.contentRect.height)}px`);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
}
