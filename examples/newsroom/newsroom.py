"""A newsroom: the editor makes headlines of what the reader summarizes. docs/guide/testing-your-agents.md tests it."""

import re

from seamesh import Agent, Context, SeameshError

editor = Agent("editor", description="Makes headlines.")


@editor.skill
async def headline(ctx: Context, text: str) -> str:
    """Makes a headline of a text, with whoever summarizes, or else of its first sentence."""
    try:
        summary = await ctx.delegate("summarize", text=text, timeout=20)
    except SeameshError:
        summary = text.partition(".")[0]
    return f"{summary}!"


reader = Agent("reader", description="Reads, and says it shorter.")


@reader.skill
def summarize(text: str) -> str:
    """Says it shorter: its longest word. Imagine a model that costs money."""
    return max(re.findall(r"\w+", text), key=len)
