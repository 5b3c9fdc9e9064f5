"""A master key in Google Cloud KMS, which never leaves it.

Two calls of its REST interface with a token of google-auth, which finds credentials wherever Google's own libraries
do. google-cloud-kms would bring gRPC and protobuf for the same two calls.
https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/encrypt
"""

import base64
import os
import re
from functools import cached_property
from typing import Any

import httpx2

from .masters import Damaged, Misconfigured, Unreachable

WITHIN_S = 5
SCOPE = "https://www.googleapis.com/auth/cloudkms"
KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")


class GcpKms:
    """`name` is the key's resource name. CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS is followed, as gcloud does."""

    def __init__(self, name: str) -> None:
        if not KEY.fullmatch(name):
            raise Misconfigured(
                f"MASTER_KEY names the Google key {name[:200]!r}. Write its resource name: "
                "gcp-kms://projects/.../locations/.../keyRings/.../cryptoKeys/..."
            )
        try:
            import google.auth  # noqa: F401
        except ImportError:
            raise Misconfigured(
                "MASTER_KEY is a key of Google Cloud KMS, and google-auth isn't installed. Install the extra gcp of "
                "pyproject.toml."
            ) from None
        self.name = name

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        return self.ask("encrypt", "ciphertext", plaintext=plaintext, additionalAuthenticatedData=aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        return self.ask("decrypt", "plaintext", ciphertext=wrapped, additionalAuthenticatedData=aad)

    @cached_property
    def credentials(self) -> Any:
        import google.auth

        return google.auth.default(scopes=[SCOPE])[0]

    def token(self) -> str:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        fault = ""
        try:
            if not self.credentials.valid:
                self.credentials.refresh(Request())
            token: str = self.credentials.token
        except GoogleAuthError as error:
            fault = type(error).__name__
        if fault:
            raise Unreachable(f"Google gives no token for {self.name}: {fault}. Check the machine's credentials.")
        return token

    def ask(self, operation: str, wanted: str, **arguments: bytes) -> bytes:
        body = {name: base64.b64encode(value).decode() for name, value in arguments.items()}
        base = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS") or "https://cloudkms.googleapis.com/"
        url = f"{base.rstrip('/')}/v1/{self.name}:{operation}"
        headers, fault, answer = {"Authorization": f"Bearer {self.token()}"}, "", None
        try:
            answer = httpx2.post(url, json=body, headers=headers, timeout=WITHIN_S, follow_redirects=False)
        except httpx2.HTTPError as error:
            fault = type(error).__name__
        if answer is not None and answer.status_code == 200:
            return base64.b64decode(answer.json()[wanted])
        if answer is not None and answer.status_code == 400 and operation == "decrypt":
            raise Damaged("Google Cloud KMS doesn't open a data key: it was changed, or belongs to another workspace.")
        fault = fault or f"status {answer.status_code if answer is not None else '?'}"
        raise Unreachable(f"Google Cloud KMS refused to {operation} with {self.name}: {fault}.")
