/** The project's mark: three agents and the links between them. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M8 9 24 9 16 25Z" />
      <circle cx="8" cy="9" r="4.2" />
      <circle cx="24" cy="9" r="4.2" />
      <circle cx="16" cy="25" r="4.2" />
    </svg>
  );
}
