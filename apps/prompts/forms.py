from typing import Any

from django import forms

from apps.tenants.models import Tier

from .models import PromptVersion
from .publish import MESSAGE_CHARS, Refused, write
from .spec import MOST_BODY_CHARS, MOST_OUTPUT_TOKENS, BadPrompt


class VersionForm(forms.Form):
    """A new version of the workspace's own. What can't be filled in is an error on the body, with the line."""

    body = forms.CharField(
        label="What the model is told",
        max_length=MOST_BODY_CHARS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "true", "class": "prompt-editor"}),
        error_messages={"required": "Write what the model is to do."},
    )
    message = forms.CharField(
        label="What changed, and why",
        max_length=MESSAGE_CHARS,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "Shorter answers for the support team", "autocomplete": "off"}),
    )
    tier = forms.ChoiceField(
        label="Models that answer",
        required=False,
        choices=[("", "As the workspace’s routing says"), *((tier.value, f"{tier.label} ones") for tier in Tier)],
    )
    max_output_tokens = forms.IntegerField(
        label="Longest answer, in tokens",
        required=False,
        min_value=1,
        max_value=MOST_OUTPUT_TOKENS,
        widget=forms.NumberInput(attrs={"placeholder": "The service’s own limit"}),
    )

    def save(self, name: str) -> PromptVersion | None:
        """The version; None, with an error on the form, if it can't be."""
        data: dict[str, Any] = self.cleaned_data
        try:
            return write(
                name,
                data["body"],
                message=data["message"],
                tier=data["tier"],
                max_output_tokens=data["max_output_tokens"],
            )
        except BadPrompt as bad:
            said = str(bad)
            self.add_error("body", said[0].upper() + said[1:])
        except Refused as refusal:
            self.add_error(None, str(refusal))
        return None
