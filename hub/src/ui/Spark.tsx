export interface SparkProps {
  readonly values: readonly number[];
  /** What the line says, in words. */
  readonly label: string;
  readonly tone?: "accent" | "bad";
  readonly height?: number;
}

const WIDTH = 240;

/** A small line of numbers over time; its words say the same. */
export function Spark({ values, label, tone = "accent", height = 40 }: SparkProps) {
  const most = Math.max(1, ...values);
  const x = (i: number) => ((i / Math.max(1, values.length - 1)) * WIDTH).toFixed(1);
  const y = (value: number) => (height - 1.5 - (value / most) * (height - 4)).toFixed(1);
  const line = values.map((value, i) => `${i === 0 ? "M" : "L"}${x(i)} ${y(value)}`).join("");
  return (
    <svg
      className={`spark spark--${tone}`}
      viewBox={`0 0 ${WIDTH} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path className="spark__area" d={`${line}L${WIDTH} ${height}L0 ${height}Z`} />
      <path className="spark__line" d={line} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
