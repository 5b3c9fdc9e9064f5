"""The scripts, ready to be called on one Redis server."""

from typing import Any

from redis import Redis

from . import scripts

AT_ONCE = 1_000


def turns(queue: str) -> str:
    return f"queue:{queue}:turns"


def queue_of(key: str) -> str:
    return key.split(":")[1]


class Line:
    """Each method is one script of `config.fair.scripts`; they raise RedisError."""

    def __init__(self, client: Redis) -> None:
        self.client = client

        def script(source: str) -> Any:
            registered = client.register_script(scripts.COMMON + source)
            return lambda *args: registered(args=args)

        self.put = script(scripts.PUT)
        self.take = script(scripts.TAKE)
        self.return_turn = script(scripts.RETURN_TURN)
        self.acknowledge = script(scripts.ACKNOWLEDGE)
        self.give_back = script(scripts.GIVE_BACK)
        self.tick = script(scripts.TICK)
        self.leave = script(scripts.LEAVE)
        self.look = script(scripts.LOOK)
        self.adopt_waiting = script(scripts.ADOPT_WAITING)
        self.adopt_held = script(scripts.ADOPT_HELD)
        self._purge = script(scripts.PURGE)
        self._forget = script(scripts.FORGET)

    def size(self, queue: str) -> int:
        lines, later, _ = self.look(queue)
        return sum(count for _, count, _ in lines) + len(later)

    def busy(self, queue: str) -> set[str]:
        """The tenants of whom there is anything in the queue: waiting, put off, or running."""
        lines, later, running = self.look(queue)
        return {tenant.decode() for tenant in (*later, *(each[0] for each in (*lines, *running)))}

    def purge(self, queue: str) -> int:
        """Forget all that waits; returns how many. What was handed out stays."""
        total = 0
        while count := self._purge(queue, AT_ONCE):
            total += count
        return total

    def forget(self, queue: str, tenant: str) -> int:
        """Forget all of the tenant's messages, those that consumers have among them; returns how many."""
        total = 0
        while count := self._forget(queue, tenant, AT_ONCE):
            total += count
        return total
