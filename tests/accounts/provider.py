"""A server that speaks GitHub's and Google's sign-in over HTTP: consent, code, token, profile. It checks PKCE."""

import hashlib
import json
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt

CLIENT_ID, SECRET = "corbel", "known to the provider and us"


@dataclass
class Person:
    """Who consents next. `id` is theirs at the provider; GitHub hands out its addresses with what it knows of them."""

    id: int = 4711
    name: str = "Dora Diver"
    email: str = "dora@initech.example"
    verified: bool = True
    unconfirmed: tuple[str, ...] = ()  # further addresses
    shown: str | None = None  # the one on the profile
    consents: bool = True


@dataclass
class Provider:
    person: Person = field(default_factory=Person)
    challenges: dict[str, str] = field(default_factory=dict)  # by code, each good for one exchange

    def __post_init__(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                provider.get(self, address.path, dict(parse_qsl(address.query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.exchange(self, dict(parse_qsl(body)))

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def get(self, request: BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        if path in ("/login/oauth/authorize", "/o/oauth2/v2/auth"):
            self.consent(request, query)
        elif not request.headers.get("Authorization", "").endswith("a-token"):
            answer(request, 401, {"message": "Bad credentials"})
        elif path == "/api/v3/user":
            person, login = self.person, self.person.name.split()[0].lower()
            answer(request, 200, {"id": person.id, "login": login, "name": person.name, "email": person.shown})
        elif path == "/api/v3/user/emails":
            address = {"email": self.person.email, "primary": True, "verified": self.person.verified}
            more = [{"email": email, "primary": False, "verified": False} for email in self.person.unconfirmed]
            answer(request, 200, [address, *more] if self.person.email else [])
        else:
            answer(request, 404, {"message": "Not Found"})

    def consent(self, request: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        assert query["client_id"] == CLIENT_ID and query["code_challenge_method"] == "S256", query
        if self.person.consents:
            code = secrets.token_hex(8)
            self.challenges[code] = query["code_challenge"]
            back = {"code": code, "state": query["state"]}
        else:
            back = {"error": "access_denied", "state": query["state"]}
        request.send_response(302)
        request.send_header("Location", f"{query['redirect_uri']}?{urlencode(back)}")
        request.end_headers()

    def exchange(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        challenge = urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        known = (form["client_id"], form["client_secret"]) == (CLIENT_ID, SECRET)
        if not known or self.challenges.pop(form["code"], "") != challenge:
            answer(request, 400, {"error": "invalid_grant"})
            return
        claims = {
            "iss": "https://accounts.google.com",
            "aud": CLIENT_ID,
            "sub": str(self.person.id),
            "exp": int(time.time()) + 60,
            "email": self.person.email,
            "email_verified": self.person.verified,
            "given_name": self.person.name.split()[0],
            "family_name": self.person.name.split()[-1],
        }
        identity = jwt.encode(claims, "a key that only the provider's own servers need to know", "HS256")
        answer(request, 200, {"access_token": "a-token", "token_type": "bearer", "id_token": identity})


def answer(request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    payload = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(payload)))
    request.end_headers()
    request.wfile.write(payload)
