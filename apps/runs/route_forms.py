"""What is asked on the pages about models: the policy, a route of a tier, a request to try."""

from typing import Any

from django import forms
from django.conf import settings

from apps.tenants.models import Tier

from . import routes
from .configuration import Configuration
from .gateway.types import Message, Passage, Request
from .models import ModelRoute, Policy
from .routes import Refused

MOST_CONTEXT_TOKENS = 20_000_000


class PolicyForm(forms.ModelForm):
    """How a model is chosen, and what happens when one fails in mid-answer."""

    class Meta:
        model = Policy
        fields = ("routing", "forced_tier", "cascade_threshold", "on_break")
        labels = {
            "routing": "How a model is chosen",
            "forced_tier": "The tier that is always taken",
            "cascade_threshold": "Sure enough from",
            "on_break": "When an answer breaks off",
        }
        help_texts = {
            "forced_tier": "Never above what the plan allows.",
            "cascade_threshold": "From 0 to 1. A cheap answer that rates itself below is answered by a dearer model.",
        }
        widgets = {"routing": forms.RadioSelect, "on_break": forms.RadioSelect}
        error_messages = {
            "cascade_threshold": dict.fromkeys(
                ("invalid", "min_value", "max_value", "required", "max_decimal_places", "max_digits"),
                "Write a number from 0 to 1 with two decimals, such as 0.70.",
            )
        }


class RouteForm(forms.Form):
    """A route to add to a tier. `target` is a provider and a model, as the list offers them."""

    tier = forms.ChoiceField(choices=Tier.choices, widget=forms.HiddenInput)
    target = forms.ChoiceField(
        label="Model", error_messages={"invalid_choice": "That model isn’t offered. Choose one of the list."}
    )
    context_tokens = forms.IntegerField(
        label="Room for",
        required=False,
        min_value=1,
        max_value=MOST_CONTEXT_TOKENS,
        widget=forms.NumberInput(attrs={"placeholder": "tokens", "inputmode": "numeric"}),
    )

    def __init__(self, data: Any = None, *, known: Configuration, tier: Tier | None = None) -> None:
        super().__init__(data, initial={"tier": tier}, auto_id=f"id_{tier or 'route'}_%s")
        here = [(str(target), str(target)) for target in routes.targets(known)]
        self.fields["target"].choices = [("", "Choose a model"), *here]  # type: ignore[attr-defined]

    def add(self) -> ModelRoute | None:
        """The route; None, with an error on the form, if it would lead nowhere."""
        data = self.cleaned_data
        provider, _, model = data["target"].partition("/")
        try:
            return routes.add(
                tier=Tier(data["tier"]), provider=provider, model=model, context_tokens=data["context_tokens"]
            )
        except Refused as refusal:
            self.add_error("target", str(refusal))
            return None


class CheckedRouteForm(forms.ModelForm):
    """A route on an admin site. `known` is the workspace's configuration, None on the platform's."""

    known: Configuration | None = None
    alias = "default"

    class Meta:
        model = ModelRoute
        fields = ("tier", "position", "provider", "model", "context_tokens", "is_on")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not {"tier", "provider", "model"} <= data.keys():
            return data
        provider, model = data["provider"], data["model"]
        try:
            if self.known is None:
                routes.check_for_everybody(provider, model)
            else:
                routes.check(provider, model, self.known)
        except Refused as refusal:
            self.add_error(refusal.field, str(refusal))
        if self.siblings().filter(tier=data["tier"], provider=provider, model=model).exists():
            self.add_error("model", f"{provider}/{model} is among the {data['tier']} models already.")
        return data

    def siblings(self) -> Any:
        """The routes that this one must differ from: on the site's own connection, of the same owner."""
        found = ModelRoute.unscoped.using(self.instance._state.db or self.alias)
        return found.filter(tenant_id=self.instance.tenant_id).exclude(pk=self.instance.pk)

    def _post_clean(self) -> None:
        """Without Django’s own look for twins, which asks for the active workspace’s rows: there may be none active."""
        self.instance.validate_constraints = lambda exclude=None: None
        super()._post_clean()  # type: ignore[misc]

    def validate_unique(self) -> None:
        """As above; `clean` has done it."""


class TryForm(forms.Form):
    """A request as far as its route depends on it: sizes stand for what would be sent beside the question."""

    question = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "How many days of leave do I have?"}),
        max_length=100_000,
        label="Question",
    )
    feature = forms.CharField(max_length=40, initial="chat")
    tier = forms.ChoiceField(
        label="Tier", required=False, choices=[("", "As the policy says"), *((t.value, t.label) for t in Tier)]
    )
    passages = forms.IntegerField(min_value=0, max_value=50, label="Passages")
    passage_chars = forms.IntegerField(min_value=0, max_value=20_000, initial=800, label="Characters in each")
    turns = forms.IntegerField(min_value=0, max_value=200, initial=0, label="Messages before")
    turn_chars = forms.IntegerField(min_value=0, max_value=20_000, initial=400, label="Characters in each")
    max_output_tokens = forms.IntegerField(min_value=1, max_value=200_000, label="Longest answer, tokens")
    has_schema = forms.BooleanField(required=False, label="The answer must follow a schema")

    def __init__(self, data: Any = None, *, passages: int | None = None) -> None:
        sizes = {
            "passages": passages or settings.PASSAGES_PER_ANSWER,
            "max_output_tokens": settings.MAX_OUTPUT_TOKENS,
        }
        super().__init__(data, initial=sizes)

    def request(self) -> Request:
        data = self.cleaned_data
        listed = tuple(Passage(n, "", "", "x" * data["passage_chars"], 0.5) for n in range(1, data["passages"] + 1))
        before = (
            Message("assistant" if turn % 2 else "user", "x" * data["turn_chars"]) for turn in range(data["turns"])
        )
        system = "x" * PROMPT_CHARS + "".join(passage.text for passage in listed)
        return Request(
            messages=(Message("system", system), *before, Message("user", data["question"])),
            max_output_tokens=data["max_output_tokens"],
            passages=listed,
            question=data["question"],
            schema={"type": "object"} if data["has_schema"] else None,
        )

    def forced(self) -> Tier | None:
        return Tier(self.cleaned_data["tier"]) if self.cleaned_data["tier"] else None


PROMPT_CHARS = 1_000  # about what the shipped prompt has
