"""A name server on this machine, for one zone of TXT records that a test writes."""

import socketserver
import threading
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

SILENT = "silent"


class NameServer:
    """`texts` is what it answers by name; a name it doesn't have doesn't exist. `mood` overrides that: an rcode of
    dns.rcode, or SILENT. `asked` are the names of the questions that reached it, with their types."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.mood: Any = None
        self.asked: list[tuple[str, str]] = []
        self.udp = socketserver.UDPServer(("127.0.0.1", 0), self.handler())
        self.thread = threading.Thread(target=self.udp.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def address(self) -> tuple[str, int]:
        return self.udp.server_address  # type: ignore[return-value]

    def close(self) -> None:
        self.udp.shutdown()
        self.thread.join()
        self.udp.server_close()

    def handler(self) -> type[socketserver.BaseRequestHandler]:
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                packet, sock = self.request
                if reply := server.reply(packet):
                    sock.sendto(reply, self.client_address)

        return Handler

    def reply(self, packet: bytes) -> bytes | None:
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name = question.name.to_text().rstrip(".")
        self.asked.append((name, dns.rdatatype.to_text(question.rdtype)))
        if self.mood == SILENT:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if self.mood is not None:
            response.set_rcode(self.mood)
        elif name not in self.texts:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif texts := self.texts[name]:
            rdata = [" ".join(f'"{text[n : n + 20]}"' for n in range(0, len(text), 20)) for text in texts]
            response.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", "TXT", rdata))
        return response.to_wire()
