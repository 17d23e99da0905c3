"""Reads what a docstring says of a function and of its parameters (Google style)."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns?|Raises|Yields?|Examples?|Notes?|Attributes):\s*$")
_PARAMETER = re.compile(r"^(\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def parse(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The description (all before the first section, in one line a paragraph) and each parameter's own."""
    before: list[str] = []
    section: str | None = None
    arguments: list[str] = []
    for line in inspect.cleandoc(docstring or "").splitlines():
        heading = _SECTION.match(line)
        if heading:
            section = heading.group(1)
        elif section is None:
            before.append(line)
        elif section in ("Args", "Arguments", "Parameters"):
            arguments.append(line)
    return _paragraphs(before), _parameters(arguments)


def _paragraphs(lines: list[str]) -> str:
    paragraphs = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs).strip()


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    depth = next((len(line) - len(line.lstrip()) for line in lines if line.strip()), 0)
    for line in lines:
        match = _PARAMETER.match(line.strip()) if len(line) - len(line.lstrip()) == depth else None
        if match:
            current = found.setdefault(match.group(1).lstrip("*"), [match.group(2)])
        elif current is not None and line.strip():
            current.append(line.strip())
    return {name: " ".join(texts).strip() for name, texts in found.items()}
