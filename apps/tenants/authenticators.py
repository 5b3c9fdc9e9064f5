"""Second factors: their secrets in the database, their codes used once, their forms."""

import base64
import hashlib
import logging
import secrets
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm as AllauthAuthenticateForm
from allauth.mfa.base.forms import BaseAuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as AllauthReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt, is_mfa_enabled
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from django.utils.encoding import force_bytes

from .models import User

log = logging.getLogger(__name__)


def vault() -> MultiFernet:
    """Encrypts with SECRET_KEY; decrypts with the keys before it too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(b"corbel second factors:" + force_bytes(key)).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


class MFAAdapter(DefaultMFAAdapter):
    """Keeps secrets encrypted: who reads a copy of the database can't make codes of it."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "That code isn’t right, or was used before. Wait for the next one and try again.",
        "unverified_email": "Confirm your e-mail addresses first: open the link that we sent to each of them.",
        "add_email_blocked": "Remove your second factors first: an account that has one takes no new address.",
    }

    def encrypt(self, text: str) -> str:
        return vault().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The secret. If no key opens it, a random one that no code fits, so that the sign-in page says so."""
        try:
            return vault().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            log.error("SECRET_KEY opens no second factors made under the former one. Set SECRET_KEY_FALLBACKS to that.")
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return "Passkey" if number == 1 else f"Passkey {number}"


CODE = {"inputmode": "numeric", "autocomplete": "one-time-code"}


class ActivateForm(ActivateTOTPForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].label = "Code"
        self.fields["code"].widget.attrs = CODE


class EachCodeOnce(BaseAuthenticateForm):
    """Refuses a code of the app that was accepted before, or is older than one that was.

    allauth keeps used codes in the cache for one step, which is shorter than they are good for, and which forgets.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.has_app = is_mfa_enabled(self.user, [Authenticator.Type.TOTP])
        code = self.fields["code"]
        code.label = "Code of your app, or a recovery code" if self.has_app else "Recovery code"
        code.widget.attrs = {**CODE, "autofocus": self.has_app}

    def clean_code(self) -> str:
        code = super().clean_code()
        if self.authenticator.type == Authenticator.Type.TOTP and not self.spend(code):
            raise get_adapter().validation_error("incorrect_code")
        return code

    @transaction.atomic
    def spend(self, code: str) -> bool:
        totp = Authenticator.objects.select_for_update().get(pk=self.authenticator.pk)
        secret = decrypt(totp.data["secret"])
        fitting = [
            step
            for step in yield_hotp_counters_from_time()
            if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, step)))
        ]
        if not fitting or fitting[-1] <= totp.data.get("last_step", 0):
            return False
        totp.data["last_step"] = fitting[-1]
        totp.save(update_fields=["data"])
        return True


class AuthenticateForm(EachCodeOnce, AllauthAuthenticateForm):
    pass


class ReauthenticateForm(EachCodeOnce, AllauthReauthenticateForm):
    pass


class AddPasskeyForm(AddWebAuthnForm):
    """Passkeys that sign in by themselves, unless the key has no way to ask who holds it."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.fields["name"].help_text = "So that you can tell them apart."
        passwordless = self.fields["passwordless"]
        passwordless.initial = True
        passwordless.label = "Sign in with it alone, without the password"
        passwordless.help_text = "It then asks for your fingerprint, face or PIN. Old security keys can’t."
