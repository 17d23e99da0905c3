import { type ReactNode, useState } from "react";
import { LongText } from "./Data";
import { Dialog } from "./Dialog";
import { Tabs } from "./Tabs";

const TABS = [
  ["facts", "Facts"],
  ["json", "JSON"],
] as const;

export interface DetailProps {
  readonly title: string;
  readonly close: () => void;
  /** The record as it came. */
  readonly record: unknown;
  readonly fileName: string;
  /** The record in words. */
  readonly children: ReactNode;
}

/** One record over the page: in words, and as it is. */
export function Detail({ title, close, record, fileName, children }: DetailProps) {
  const [tab, setTab] = useState<(typeof TABS)[number][0]>("facts");
  return (
    <Dialog title={title} close={close} className="dialog--detail">
      <Tabs label={title} tabs={TABS} current={tab} choose={setTab}>
        {tab === "facts" ? children : <LongText text={JSON.stringify(record, null, 2)} fileName={fileName} />}
      </Tabs>
    </Dialog>
  );
}
