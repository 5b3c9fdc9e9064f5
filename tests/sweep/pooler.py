"""A pooler in transaction mode, as small as one can be: Postgres's wire protocol between many clients and few servers.

A client gets a server for one transaction, and for the next the one that has waited longest. Nothing is reset between
two clients, which is how PgBouncer's transaction mode works too. Clients are let in without a password.
"""

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.pq import ConnStatus, PGconn

IN_CLEAR = {80877103, 80877104}  # asks for TLS or GSS encryption; the answer N means neither
STATUSES = (b"server_version", b"client_encoding", b"TimeZone", b"DateStyle", b"standard_conforming_strings")
ANSWERED = {b"Q", b"S", b"F"}  # a query, a sync, a function call: the server's answer ends with ReadyForQuery
COPY_ENDS = {b"c", b"f"}


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


async def read(stream: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next message: its kind, and all of it."""
    head = await stream.readexactly(5)
    return head[:1], head + await stream.readexactly(struct.unpack("!I", head[1:])[0] - 4)


@dataclass
class Server:
    """A connection that libpq has signed in, whose socket is ours from then on."""

    signed_in: PGconn
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, conninfo: str) -> "Server":
        signed_in = PGconn.connect(conninfo.encode())
        if signed_in.status != ConnStatus.OK:
            raise ConnectionError(signed_in.get_error_message())
        return cls(signed_in, *await asyncio.open_connection(sock=socket.socket(fileno=os.dup(signed_in.socket))))

    async def answer(self, client: asyncio.StreamWriter, more: asyncio.StreamReader) -> bytes:
        """Pass the answer on, to its end. Returns the transaction's status: b"I" when none is open."""
        while True:
            kind, whole = await read(self.reader)
            client.write(whole)
            if kind == b"Z":
                await client.drain()
                return whole[-1:]
            if kind == b"G":  # the client's turn: rows to copy in
                await client.drain()
                while kind not in COPY_ENDS:
                    kind, whole = await read(more)
                    self.writer.write(whole)

    async def roll_back(self) -> None:
        self.writer.write(message(b"Q", b"ROLLBACK\0"))
        while (await read(self.reader))[0] != b"Z":
            pass

    def close(self) -> None:
        self.writer.close()
        self.signed_in.finish()


class Pooler:
    """`port` on 127.0.0.1; `asked` counts the messages that a server had to answer."""

    def __init__(self, conninfo: str, servers: int) -> None:
        self.conninfo, self.size = conninfo, servers
        self.port = self.asked = 0
        self.idle: asyncio.Queue[Server] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server: Server | None = None
        try:
            await self.greet(reader, writer)
            while True:
                kind, whole = await read(reader)
                if kind == b"X":
                    return
                server = server or await self.idle.get()
                self.asked += kind in ANSWERED
                server.writer.write(whole)
                if kind in ANSWERED and await server.answer(writer, reader) == b"I":
                    self.idle.put_nowait(server)
                    server = None
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            if server:
                await server.roll_back()
                self.idle.put_nowait(server)
            writer.close()

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length, code = struct.unpack("!II", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if code not in IN_CLEAR:
                break
            writer.write(b"N")
        writer.write(message(b"R", struct.pack("!I", 0)))
        for name in STATUSES:
            writer.write(message(b"S", name + b"\0" + self.statuses[name] + b"\0"))
        writer.write(message(b"K", struct.pack("!II", 0, 0)) + message(b"Z", b"I"))
        await writer.drain()

    async def run(self, is_ready: threading.Event) -> None:
        self.is_over, self.loop = asyncio.Event(), asyncio.get_running_loop()
        servers = [await Server.connect(self.conninfo) for _ in range(self.size)]
        self.statuses = {name: servers[0].signed_in.parameter_status(name) or b"" for name in STATUSES}
        for server in servers:
            self.idle.put_nowait(server)
        try:
            async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as listening:
                self.port = listening.sockets[0].getsockname()[1]
                is_ready.set()
                await self.is_over.wait()
        finally:
            is_ready.set()
            for server in servers:
                server.close()


@contextlib.contextmanager
def pooler(conninfo: str, *, servers: int) -> Iterator[Pooler]:
    made, is_ready = Pooler(conninfo, servers), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=[made.run(is_ready)], name="pooler")
    thread.start()
    is_ready.wait()
    try:
        yield made
    finally:
        made.loop.call_soon_threadsafe(made.is_over.set)
        thread.join()
