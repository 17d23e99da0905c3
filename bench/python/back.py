"""The agent that is delegated to."""

from seamesh import Agent

agent = Agent("back")


@agent.skill
async def double(n: int) -> int:
    """Doubles a number."""
    return n * 2


if __name__ == "__main__":
    agent.run()
