"""What is typed to enter an account with a provider. A key is read once, into a `Secret`, and never written back."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from apps.tenants.models import ProviderKey
from apps.tenants.outbound import Refused, check_url
from apps.tenants.provider_keys import RESERVED, BadKey, clean_key
from apps.tenants.vault import Secret

PLAIN = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}
MOST_MODELS = 40


class SecretField(forms.CharField):
    def __init__(self, **options: Any) -> None:
        widget = forms.PasswordInput(attrs={**PLAIN, "autocomplete": "new-password"}, render_value=False)
        super().__init__(widget=widget, max_length=500, **options)

    def clean(self, value: Any) -> Any:
        try:
            return clean_key(super().clean(value))
        except BadKey as fault:
            raise ValidationError(str(fault)) from None


class NamesField(forms.CharField):
    """Names of models, one a line or with commas between."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={**PLAIN, "rows": 2}), required=False, **options)

    def clean(self, value: Any) -> Any:
        names = list(dict.fromkeys(re.split(r"[\s,]+", super().clean(value).strip())))
        return check_names([name for name in names if name])


def check_names(names: list[str]) -> list[str]:
    if len(names) > MOST_MODELS:
        raise ValidationError(f"At most {MOST_MODELS} models. Choose those that are asked.")
    if long := next((name for name in names if len(name) > 120), ""):
        raise ValidationError(f"“{long[:40]}…” is too long to be a model’s name.")
    return names


class AddForm(forms.Form):
    kind = forms.ChoiceField(label="Provider", choices=ProviderKey.Kind.choices)
    name = forms.SlugField(
        max_length=40, help_text="What it is called here, such as <span class='mono'>our-openai</span>."
    )
    base_url = forms.CharField(
        label="Address",
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "https://llm.example.com/v1", "inputmode": "url"}),
        help_text="Only of a server of your own, or of another company’s that speaks the same language.",
    )
    key = SecretField(help_text="It is tried at once, then encrypted. Nobody can read it here again, you neither.")
    models = NamesField(help_text="Left empty, you choose from what the provider lists, in the next step.")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].lower()
        if name in RESERVED:
            raise ValidationError(f"“{name}” has a meaning of its own here. Choose another name.")
        return name

    def clean_base_url(self) -> str:
        base_url: str = self.cleaned_data["base_url"].strip().rstrip("/")
        if base_url:
            try:
                check_url(base_url)
            except Refused as refusal:
                raise ValidationError(str(refusal)) from None
        return base_url


class ReplaceForm(forms.Form):
    key = SecretField(label="New key", help_text="It is tried at once. The one before is gone when it works.")


class UseForm(forms.Form):
    """Which models the key is used for, and what they cost."""

    listed = forms.MultipleChoiceField(label="Models", required=False, widget=forms.CheckboxSelectMultiple)
    others = NamesField(label="Others, by name")
    input_usd = forms.DecimalField(
        label="A million tokens of input, in $", required=False, min_value=Decimal(0), max_digits=14, decimal_places=6
    )
    output_usd = forms.DecimalField(
        label="A million tokens of output, in $", required=False, min_value=Decimal(0), max_digits=14, decimal_places=6
    )

    def __init__(self, data: Any, provider_key: ProviderKey, listed: tuple[str, ...]) -> None:
        chosen = provider_key.model_names
        initial = {
            "listed": [name for name in chosen if name in listed],
            "others": "\n".join(name for name in chosen if name not in listed),
            "input_usd": provider_key.input_usd,
            "output_usd": provider_key.output_usd,
        }
        super().__init__(data, initial=initial)
        self.fields["listed"].choices = [(name, name) for name in listed]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if (data.get("input_usd") is None) != (data.get("output_usd") is None) and not self.errors:
            self.add_error("output_usd", "Write both prices, or neither.")
        data["model_names"] = check_names(list(dict.fromkeys([*data.get("listed", []), *data.get("others", [])])))
        return data

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("model_names", "input_usd", "output_usd")}


def secret_of(form: forms.Form) -> Secret:
    secret: Secret = form.cleaned_data["key"]
    return secret
