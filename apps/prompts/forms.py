from typing import Any

from django import forms
from django.http import QueryDict

from apps.tenants.models import Tier

from .lines import read_fields, read_variables, write_fields, write_variables
from .models import PromptVersion
from .publish import MESSAGE_CHARS, Refused, clean, make, write
from .spec import MOST_BODY_CHARS, MOST_OUTPUT_TOKENS, BadPrompt

LINES = 6_000  # characters of a text that holds a line for each variable or field


class VersionForm(forms.Form):
    """A new version of the workspace's own. What can't be filled in is an error on its field, with the line.

    of: the version that it is begun from. Its variables and its answer's fields can be changed where the workspace made
    the prompt itself; code of ours asks with the catalog's.
    """

    body = forms.CharField(
        label="What the model is told",
        max_length=MOST_BODY_CHARS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "true", "class": "prompt-editor"}),
        error_messages={"required": "Write what the model is to do."},
    )
    variables = forms.CharField(
        label="Variables, a line each",
        max_length=LINES,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "placeholder": "email: line, The customer’s address"}),
    )
    answer = forms.CharField(
        label="Fields of the answer, a line each",
        max_length=LINES,
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 4, "class": "mono", "placeholder": "category: one of billing, technical, other"}
        ),
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

    def __init__(self, data: QueryDict | None, *, of: PromptVersion | None = None) -> None:
        super().__init__(data, initial=values(of) if of else None)
        self.is_own = of is None or of.prompt.tenant_id is not None
        if not self.is_own:
            del self.fields["variables"], self.fields["answer"]

    def save(self, name: str) -> PromptVersion | None:
        """The version; None, with an error on the form, if it can't be."""
        if (written := self.written()) is None:
            return None
        return self.tried(lambda: write(name, **written))

    def written(self) -> dict[str, Any] | None:
        """What `write` takes; None, with an error on the form, if a line can't be read."""
        data = {name: self.cleaned_data[name] for name in ("body", "message", "tier", "max_output_tokens")}
        if not self.is_own:
            return data
        body = clean(data["body"])
        for field, name, read in (
            ("variables", "variables", lambda text: read_variables(text, body)),
            ("answer", "output_schema", read_fields),
        ):
            try:
                data[name] = read(self.cleaned_data[field])
            except BadPrompt as bad:
                self.add_error("body" if "brace" in bad.fault else field, sentence(bad))
        return None if self.errors else data

    def tried(self, save: Any) -> PromptVersion | None:
        try:
            version: PromptVersion = save()
        except BadPrompt as bad:
            self.add_error("body", sentence(bad))
        except Refused as refusal:
            self.add_error("name" if "name" in self.fields else None, str(refusal))
        else:
            return version
        return None


class MakeForm(VersionForm):
    """A prompt of the workspace's own."""

    name = forms.SlugField(
        max_length=60,
        label="Name",
        widget=forms.TextInput(attrs={"placeholder": "sort-tickets", "autocomplete": "off", "spellcheck": "false"}),
        error_messages={"invalid": "Use letters, digits and hyphens, such as sort-tickets."},
    )
    description = forms.CharField(label="What it is for", max_length=200, required=False)
    field_order = ("name", "description", "body", "variables", "answer", "message", "tier", "max_output_tokens")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name == "new":
            raise forms.ValidationError("This page has that address. Choose another name.")
        return name

    def make(self) -> PromptVersion | None:
        """The first version, which is in force; None, with an error on the form, if it can't be."""
        if (written := self.written()) is None:
            return None
        data = self.cleaned_data
        return self.tried(lambda: make(data["name"], description=data["description"], **written))


def values(version: PromptVersion) -> dict[str, Any]:
    return {
        "body": version.body,
        "tier": version.tier,
        "max_output_tokens": version.max_output_tokens,
        "variables": write_variables(version.declared),
        "answer": write_fields(version.output_schema),
    }


def sentence(bad: BadPrompt) -> str:
    said = str(bad)
    return said[0].upper() + said[1:]
