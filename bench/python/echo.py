"""Sends every message back to where it came from."""

from seamesh import Agent, Mesh, Message

agent = Agent("echo")


@agent.on_message
def back(message: Message, mesh: Mesh) -> None:
    mesh.send(message.from_peer, message.body)


if __name__ == "__main__":
    agent.run()
