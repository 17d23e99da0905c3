"""The agent that delegates."""

from seamesh import Agent, Context

agent = Agent("front")


@agent.skill
async def ask(ctx: Context, n: int) -> int:
    """Asks whoever doubles numbers."""
    answer: int = await ctx.delegate("double", n=n)
    return answer


if __name__ == "__main__":
    agent.run()
