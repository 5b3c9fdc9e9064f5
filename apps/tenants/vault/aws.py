"""A master key in AWS KMS, which never leaves it. Credentials and region come as boto3 finds them anywhere."""

from functools import cached_property
from typing import Any

from .masters import Damaged, Misconfigured, Unreachable

WITHIN_S = 5
NOT_OURS = {"InvalidCiphertextException", "IncorrectKeyException"}


class AwsKms:
    """`name` is the key's ARN. The associated data goes into the encryption context, which CloudTrail records."""

    def __init__(self, arn: str) -> None:
        if not arn.startswith("arn:"):
            raise Misconfigured(f"MASTER_KEY names the AWS key {arn[:200]!r}. Write its ARN: aws-kms://arn:aws:kms:...")
        try:
            import boto3  # noqa: F401
        except ImportError:
            raise Misconfigured(
                "MASTER_KEY is a key of AWS KMS, and boto3 isn't installed. Install the extra aws of pyproject.toml."
            ) from None
        self.name = arn

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        wrapped: bytes = self.ask("encrypt", Plaintext=plaintext, EncryptionContext=context(aad))["CiphertextBlob"]
        return wrapped

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        plaintext: bytes = self.ask("decrypt", CiphertextBlob=wrapped, EncryptionContext=context(aad))["Plaintext"]
        return plaintext

    @cached_property
    def client(self) -> Any:
        import boto3
        from botocore.config import Config

        region = self.name.split(":")[3] or None
        retries = {"total_max_attempts": 2, "mode": "standard"}
        config = Config(connect_timeout=WITHIN_S, read_timeout=WITHIN_S, retries=retries)
        return boto3.session.Session().client("kms", region_name=region, config=config)

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self.client, operation)(KeyId=self.name, **arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
        except BotoCoreError as error:
            code = type(error).__name__
        else:
            return answer
        if code in NOT_OURS:  # raised here: an exception remembers the one before it, and that holds what was sent
            raise Damaged(f"AWS KMS doesn't open a data key ({code}): it was changed, or belongs to another workspace.")
        raise Unreachable(f"AWS KMS refused to {operation} with {self.name}: {code}.")


def context(aad: bytes) -> dict[str, str]:
    return {"corbel": aad.hex()}
