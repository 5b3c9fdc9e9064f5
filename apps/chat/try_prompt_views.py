"""The page on which two versions of a prompt are tried on the same input."""

from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django import forms
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from apps.prompts.forms import sentence
from apps.prompts.models import Prompt, PromptVersion
from apps.prompts.publish import visible_versions
from apps.prompts.spec import BadPrompt
from apps.prompts.views import prompt_or_404
from apps.runs.experiment_views import named
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .ask import MAX_QUESTION_CHARS
from .try_prompt import Tried, inputs, try_versions


class TryForm(forms.Form):
    """Two versions, and what they are tried on. The second may be left out."""

    a = forms.ModelChoiceField(PromptVersion.objects.none(), label="Version")
    b = forms.ModelChoiceField(PromptVersion.objects.none(), label="Beside it", required=False, empty_label="None")

    def __init__(self, data: QueryDict | None, *, prompt: Prompt, chosen: dict[str, Any]) -> None:
        super().__init__(data, initial=chosen)
        live = PromptVersion.objects.live(prompt.name)
        versions = visible_versions(prompt).order_by("-created_at")
        for name in ("a", "b"):
            field: Any = self.fields[name]
            field.queryset = versions
            field.label_from_instance = lambda each: named(each, live)
        self.initial.setdefault("a", live)
        if len(chosen) < 2:
            self.initial.setdefault("b", versions.exclude(pk=live.pk).first())
        self.inputs = inputs(live)
        for each in self.inputs:
            widget = forms.Textarea(attrs={"rows": 4}) if each.is_long else forms.TextInput()
            widget.attrs |= {"placeholder": each.example, "autocomplete": "off"}
            self.fields[f"in_{each.name}"] = forms.CharField(
                label=each.label, max_length=MAX_QUESTION_CHARS, widget=widget
            )

    @property
    def typed(self) -> list[Any]:
        return [self[f"in_{each.name}"] for each in self.inputs]

    def run(self, request: WorkspaceRequest) -> Tried | None:
        """What came of it; None, with an error on the form, for a value that doesn't fit."""
        data = self.cleaned_data
        versions = [version for version in (data["a"], data["b"]) if version]
        values = {each.name: data[f"in_{each.name}"] for each in self.inputs}
        try:
            return async_to_sync(try_versions)(versions, values, user=request.user, workspace=request.workspace)
        except BadPrompt as bad:
            self.add_error(None, sentence(bad))
            return None


@require_http_methods(["GET", "POST"])
@needs(Permission.MANAGE_PROMPTS)
def try_prompt(request: WorkspaceRequest, prompt: str) -> HttpResponse:
    found = prompt_or_404(prompt)
    named_versions = {name: as_uuid(request.GET[name]) for name in ("a", "b") if request.GET.get(name)}
    form = TryForm(request.POST if request.method == "POST" else None, prompt=found, chosen=named_versions)
    tried = form.run(request) if request.method == "POST" and form.is_valid() else None
    return render(request, "chat/try_prompt.html", {"prompt": found, "form": form, "tried": tried})


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
