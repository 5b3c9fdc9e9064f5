"""What is to be done again and again: `celery --app config.celery beat --scheduler config.beat.Scheduler`.

However many are started, one of them acts: who holds a key in Redis that lives for half a minute, and renews it each
second. The key, and when each task was last due, are looked at and written in one step, so that one which was held up
and wakes after another has taken over does nothing. When the tasks were last due outlives every beat: a restart is no
reason to do them again, nor to put them off.
"""

import logging
import os
import socket
from uuid import uuid4

from celery import beat
from django.conf import settings
from redis import Redis, RedisError

log = logging.getLogger(__name__)

TICK_S = 1.0
LEASE_S = 30

# keys: who acts, when each was last due. Then me, lease in ms, and each task's name and seconds. Returns what is due,
# or 0 while another acts.
DUE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local at = redis.call('TIME')
local now = at[1] + at[2] / 1000000
local due = {}
for n = 3, #ARGV, 2 do
  local last = tonumber(redis.call('HGET', KEYS[2], ARGV[n]) or '0')
  if now - last >= tonumber(ARGV[n + 1]) then
    redis.call('HSET', KEYS[2], ARGV[n], now)
    due[#due + 1] = ARGV[n]
  end
end
return due
"""
LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
HOLDER, LAST = "beat:holder", "beat:last"


class Lease:
    """One beat's claim to be the one that acts."""

    def __init__(self, client: Redis, lease_s: float = LEASE_S) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.lease_ms = round(lease_s * 1000)
        self._due, self._leave = client.register_script(DUE), client.register_script(LEAVE)

    def due(self, every_s: dict[str, float]) -> list[str] | None:
        """What is due now, by name, and no longer is; None while another beat acts."""
        pairs = [part for pair in every_s.items() for part in pair]
        names = self._due(keys=[HOLDER, LAST], args=[self.name, self.lease_ms, *pairs])
        return None if names == 0 else [name.decode() for name in names]

    def leave(self) -> None:
        """Another may act at once."""
        self._leave(keys=[HOLDER], args=[self.name])


class Scheduler(beat.Scheduler):
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.lease = Lease(Redis.from_url(settings.REDIS_URL))
        self.acts: bool | None = None

    def tick(self, *_: object, **__: object) -> float:
        try:
            due = self.lease.due({name: entry.schedule.run_every.total_seconds() for name, entry in self.data.items()})
        except (RedisError, OSError) as error:
            log.warning("Redis is away, and nothing is due meanwhile: %s", error)
            return TICK_S
        if self.acts is not (due is not None):
            self.acts = due is not None
            log.info("this beat acts" if self.acts else "another beat acts; this one waits for it to end")
        for name in due or []:
            self.apply_entry(self.data[name], producer=self.producer)
        return TICK_S

    def close(self) -> None:
        try:
            self.lease.leave()
        except (RedisError, OSError):
            log.info("Redis is away; another beat acts in half a minute")
        super().close()
