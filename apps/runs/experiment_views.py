"""An experiment on a prompt: started, looked at, ended. A page of the prompt's, in the settings."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.prompts import experiments
from apps.prompts.experiments import MOST_ARMS, MOST_WEIGHT, Share, whose
from apps.prompts.models import Experiment, ExperimentArm, Prompt, PromptVersion
from apps.prompts.publish import Refused, visible_versions
from apps.prompts.views import prompt_or_404
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .outcomes import outcomes

LISTED = 20


class ArmForm(forms.Form):
    version = forms.ModelChoiceField(PromptVersion.objects.none(), label="Version", required=False)
    weight = forms.IntegerField(label="Weight", min_value=1, max_value=MOST_WEIGHT, initial=50, required=False)

    def __init__(self, *args: Any, versions: Any, live: PromptVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        field.queryset = versions  # type: ignore[attr-defined]
        field.empty_label = "None"  # type: ignore[attr-defined]
        field.label_from_instance = lambda each: named(each, live)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("version") and not data.get("weight") and "weight" not in self.errors:
            self.add_error("weight", "Write a whole number, such as 50.")
        return data


def named(version: PromptVersion, live: PromptVersion) -> str:
    said = whose(version).capitalize() + (", in force" if version == live else "")
    return f"{said}: {version.message}" if version.message and version.tenant_id else said


class ExperimentForm(forms.Form):
    """What it is to show, and its arms. `arms.forms` are as many as there may be; those without a version are none."""

    question = forms.CharField(
        label="What it is to show",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "Do shorter answers help?", "autocomplete": "off"}),
    )

    def __init__(self, data: QueryDict | None, *, prompt: Prompt) -> None:
        super().__init__(data)
        self.prompt = prompt
        live = PromptVersion.objects.live(prompt.name)
        versions = visible_versions(prompt).order_by("-created_at")
        newest = versions.exclude(pk=live.pk).first()
        initial = [{"version": each} for each in (live, newest) if each]
        formset = forms.formset_factory(
            ArmForm, extra=MOST_ARMS - len(initial), max_num=MOST_ARMS, absolute_max=MOST_ARMS
        )
        self.arms: Any = formset(data, initial=initial, prefix="arm", form_kwargs={"versions": versions, "live": live})

    def is_valid(self) -> bool:
        return all([super().is_valid(), self.arms.is_valid()])

    def start(self) -> Experiment | None:
        """The experiment; None, with an error on the form, if it can't be."""
        shares = [Share(arm["version"], arm["weight"]) for arm in self.arms.cleaned_data if arm.get("version")]
        try:
            return experiments.start(self.prompt, shares, question=self.cleaned_data["question"])
        except Refused as refusal:
            self.add_error(None, str(refusal))
            return None


@require_http_methods(["GET", "POST"])
@needs(Permission.MANAGE_PROMPTS)
def experiment(request: WorkspaceRequest, prompt: str) -> HttpResponse:
    """The one that is running, or what one could be; `?of=` shows one that is over."""
    found = prompt_or_404(prompt)
    own = Experiment.objects.filter(tenant=request.workspace, prompt=found).order_by("-started_at")
    running = own.filter(stopped_at=None).first()
    form = ExperimentForm(request.POST if request.method == "POST" else None, prompt=found)
    if request.method == "POST" and form.is_valid() and form.start():
        messages.success(request, "The experiment is running, from the next call on.")
        return redirect("experiment", prompt=prompt)
    shown = running
    if request.GET.get("of"):
        shown = get_object_or_404(own, pk=as_uuid(request.GET["of"]))
    context = {
        "prompt": found,
        "form": form,
        "running": running,
        "shown": shown,
        "outcomes": outcomes(shown) if shown else None,
        "over": own.exclude(stopped_at=None)[:LISTED],
    }
    return render(request, "runs/experiment.html", context)


@require_POST
@needs(Permission.MANAGE_PROMPTS)
def stop_experiment(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """End it; `winner` is put in force, if there is one."""
    found = get_object_or_404(Experiment.objects.filter(tenant=request.workspace).select_related("prompt"), pk=id)
    winner = None
    if request.POST.get("winner"):
        arms = ExperimentArm.objects.filter(experiment=found).select_related("version__prompt")
        winner = get_object_or_404(arms, pk=as_uuid(request.POST["winner"]))
    try:
        experiments.stop(found, winner=winner)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        said = f"{whose(winner.version).capitalize()} is in force" if winner else "Everybody has the version in force"
        messages.success(request, f"The experiment is over. {said}, from the next call on.")
    return redirect("experiment", prompt=found.prompt.name)


def as_uuid(text: str) -> UUID:
    """One that names nothing, where the text is none."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
