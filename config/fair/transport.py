"""Celery's Redis transport with fair queues: `CELERY_BROKER_TRANSPORT` names it.

Only the application's own queues are fair. Replies to `celery inspect` and such go on as kombu sends them.
"""

import functools
from datetime import datetime
from queue import Empty
from time import monotonic
from typing import Any

import redis
from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.json import dumps, loads

from config import queues

from .adopt import adopt
from .holder import GONE_AFTER_S, TICK_S, Holder
from .line import Line, queue_of, turns
from .scripts import NOBODY

TENANT, COST = "tenant_id", "cost_s"  # headers that config.celery stamps
TRIES = "tries"  # a header for the worker: how often it was handed out


class QoS(stock.QoS):
    """What was delivered and isn't acknowledged. The channel's holder has it in Redis."""

    def append(self, message: Any, delivery_tag: str) -> None:
        if self._is_held(delivery_tag):
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        if self._is_held(delivery_tag):
            self.channel.holder.acknowledge(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if not self._is_held(delivery_tag):
            super().reject(delivery_tag, requeue)
        elif requeue:
            self.channel.holder.give_back(delivery_tag, is_untried=False)
            virtual.QoS.ack(self, delivery_tag)
        else:
            self.ack(delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """When the channel closes. A lost connection ends no task: what runs is acknowledged when it is done."""
        stay = running()
        for tag in list(self._delivered):
            if not self._is_held(tag):
                self.restore_by_tag(tag, client=client)
            elif tag not in stay:
                self.channel.holder.give_back(tag, is_untried=True)
        self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int | None = None) -> None:
        """kombu asks every few seconds: here only for what the transport before this one left behind."""
        with self.channel.conn_or_acquire() as client:
            adopt(client)

    def _is_held(self, tag: str) -> bool:
        return tag in self.channel.holder.tags


def running() -> set[str]:
    """The tags of what this worker runs and goes on to run; none when it is shutting down."""
    from celery.worker import state as worker

    if any(sign not in (None, False) for sign in (worker.should_stop, worker.should_terminate)):
        return set()
    return {request.message.delivery_tag for request in tuple(worker.active_requests)}


class Channel(stock.Channel):
    QoS = QoS
    supports_batch_publish = False
    tick_s = TICK_S
    gone_after_s = GONE_AFTER_S
    _waits_for_turn = False
    _in_poll: Any = False
    _brpop_sent_at: Any = None
    from_transport_options: Any = (*stock.Channel.from_transport_options, "tick_s", "gone_after_s")

    @functools.cached_property
    def line(self) -> Line:
        return Line(self._create_client())

    @functools.cached_property
    def holder(self) -> Holder:
        parameters = self._connparams()

        def connect(**more: Any) -> redis.Redis:
            return redis.Redis(connection_pool=redis.ConnectionPool(**{**parameters, **more}))

        return Holder(connect, tick_s=self.tick_s, gone_after_s=self.gone_after_s)

    # --- Publishing

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        if queue in queues.ALL:
            self.line.put(queue, *entry(message))
        else:
            super()._put(queue, message, **kwargs)

    # --- Consuming

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        if queue in queues.ALL:
            self.holder.serve(queue)
        return super().basic_consume(queue, *args, **kwargs)

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Wait for a turn: in the queue that was named first, and in the next one only if it has none."""
        fair = [queue for queue in self.active_queues if queue in queues.ALL]
        self._waits_for_turn = bool(fair)
        if not fair:
            super()._brpop_start(timeout)
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        wait_s = self.brpop_timeout if timeout is None else timeout
        self.client.connection.send_command("BZPOPMIN", *map(turns, fair), wait_s or 0)

    def _brpop_read(self, **options: Any) -> bool:
        if not self._waits_for_turn:
            return super()._brpop_read(**options)  # type: ignore[no-any-return]
        try:
            turn = self.client.parse_response(self.client.connection, "BZPOPMIN", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if not turn:
            raise Empty
        key, tenant, start = turn
        queue = queue_of(key.decode())
        if self._closing or queue not in self._active_queues:  # nobody listens any more
            self.line.return_turn(queue, tenant)
            raise Empty
        self.connection._deliver(self._taken(queue, tenant, start), queue)
        return True

    def _get(self, queue: str, timeout: Any = None) -> dict[str, Any]:
        if queue not in queues.ALL:
            return super()._get(queue)  # type: ignore[no-any-return]
        self.holder.serve(queue)
        return self._taken(queue)

    def _taken(self, queue: str, *turn: Any) -> dict[str, Any]:
        """Raises Empty: somebody else was quicker, or the tenant is gone."""
        taken = self.holder.take(queue, *turn)
        if not taken:
            raise Empty
        _tag, body, tries = taken
        return message(body, tries)

    def close(self) -> None:
        try:
            super().close()
        finally:  # however broken the connection is
            if self._qos:
                self._qos.restore_unacked_once()
            if "holder" in self.__dict__:
                self.holder.close()

    # --- Looking after queues

    def _size(self, queue: str) -> int:
        return self.line.size(queue) if queue in queues.ALL else super()._size(queue)

    def _purge(self, queue: str) -> int:
        return self.line.purge(queue) if queue in queues.ALL else super()._purge(queue)

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return queue in queues.ALL or super()._has_queue(queue, **kwargs)


def entry(message: dict[str, Any]) -> tuple[str, str, str, str | float, int | str, str]:
    """What PUT takes of a message: tag, tenant, task, cost in seconds or "", ms at which it is due or "", body."""
    headers = message["headers"]
    eta = headers.get("eta")
    return (
        message["properties"]["delivery_tag"],
        headers.get(TENANT) or NOBODY,
        headers.get("task") or "",
        "" if headers.get(COST) is None else headers[COST],
        round(datetime.fromisoformat(eta).timestamp() * 1000) if eta else "",
        dumps(message),
    )


def message(body: bytes, tries: int) -> dict[str, Any]:
    """As it was published, for Celery. Its time has come; the worker need not wait for that again."""
    payload: dict[str, Any] = loads(body)
    payload["headers"] |= {"eta": None, TRIES: tries}
    if tries > 1:
        payload["properties"]["delivery_info"]["redelivered"] = True
    return payload


class Transport(stock.Transport):
    Channel = Channel
    supports_batch_publish = False
    implements = stock.Transport.implements.extend(batch_publish=False)
