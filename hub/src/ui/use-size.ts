import { type RefObject, useLayoutEffect, useState } from "react";
import type { Frame } from "../lib/layout";

/** The size of an element, in whole pixels, as it changes. */
export function useSize(ref: RefObject<Element | null>, before: Frame): Frame {
  const [size, setSize] = useState(before);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const measure = () => {
      const { width, height } = element.getBoundingClientRect();
      if (width > 0 && height > 0) setSize({ width: Math.round(width), height: Math.round(height) });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return size;
}
