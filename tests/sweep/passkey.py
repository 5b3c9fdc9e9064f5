"""What a browser sends when it has made a passkey, as allauth keeps it."""

from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

ORIGIN, HOST = "http://localhost", b"localhost"


def credential(name: bytes) -> dict[str, Any]:
    """A registration without attestation; `name` is the credential's own id."""
    key = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    data = AttestedCredentialData.create(bytes(16), name, key)
    flags = AuthenticatorData.FLAG.USER_PRESENT | AuthenticatorData.FLAG.ATTESTED
    made = AttestationObject.create("none", AuthenticatorData.create(sha256(HOST).digest(), flags, 0, data), {})
    client = CollectedClientData.create("webauthn.create", b"challenge", ORIGIN)
    return {
        "id": websafe_encode(name),
        "rawId": websafe_encode(name),
        "type": "public-key",
        "response": {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(made)},
        "clientExtensionResults": {},
    }
