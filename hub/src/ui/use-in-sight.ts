import { type RefObject, useCallback, useEffect, useLayoutEffect, useState } from "react";

/** Height of a row, pixels: all are equally high, so their places need no list. */
export const ROW_PX = 38;
/** Rows drawn beyond the visible ones, so that scrolling never shows a gap; and the step in which sight moves. */
const BEYOND = 4;
/** Height before the box is measured, pixels. */
const FIRST_HEIGHT = 600;

export interface InSight {
  /** The rows to draw: from this one up to, and without, that one. */
  readonly from: number;
  readonly to: number;
  /** Brings a row into sight. */
  readonly show: (index: number) => void;
}

/** Which of `count` rows are seen in a box that scrolls. */
export function useInSight(box: RefObject<HTMLElement | null>, count: number): InSight {
  const [height, setHeight] = useState(FIRST_HEIGHT);
  // The first row of a block of rows: within a block, scrolling draws nothing anew.
  const [block, setBlock] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => setBlock(Math.floor(element.scrollTop / ROW_PX / BEYOND) * BEYOND);
    const measure = () => setHeight(element.clientHeight || FIRST_HEIGHT);
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    measure();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, [box]);
  // Rows that left may leave the box scrolled beyond their end: the browser moves it without being asked.
  useLayoutEffect(() => {
    if (block >= count) setBlock(Math.max(0, Math.floor((count - 1) / BEYOND) * BEYOND));
  }, [block, count]);
  const show = useCallback(
    (index: number) => {
      const element = box.current;
      if (!element) return;
      const head = element.querySelector("thead")?.clientHeight ?? 0;
      const top = index * ROW_PX;
      const bottom = top + ROW_PX + head;
      if (top < element.scrollTop) element.scrollTop = top;
      else if (bottom > element.scrollTop + element.clientHeight)
        element.scrollTop = bottom - element.clientHeight;
    },
    [box],
  );
  const shown = Math.ceil(height / ROW_PX);
  const from = Math.max(0, Math.min(block, count) - BEYOND);
  return { from, to: Math.min(count, block + shown + 2 * BEYOND), show };
}
