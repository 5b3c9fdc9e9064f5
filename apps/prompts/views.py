"""Prompts as owners and admins see them: what is in force, its history, another version. A section of the settings."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Max, Prefetch
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from . import publish
from .diff import diff
from .forms import MakeForm, VersionForm
from .models import Experiment, Prompt, PromptVersion, Publication
from .publish import Refused, visible_versions

LISTED = 50  # versions of one prompt


@require_GET
@needs(Permission.MANAGE_PROMPTS)
def prompt_list(request: WorkspaceRequest) -> HttpResponse:
    """Every prompt, with the version that is in force here."""
    live_ones = PromptVersion.objects.visible().filter(is_live=True).select_related("author")
    prompts = Prompt.objects.order_by("name").prefetch_related(
        Prefetch("versions", queryset=live_ones, to_attr="live_versions"),
        Prefetch("experiments", queryset=Experiment.objects.filter(stopped_at=None), to_attr="running"),
    )
    rows = [
        {"prompt": prompt, "live": live, "running": prompt.running}
        for prompt in prompts
        if (live := in_force(prompt.live_versions))
    ]
    return render(request, "prompts/prompts.html", {"rows": rows})


def in_force(live: list[PromptVersion]) -> PromptVersion | None:
    """Of those that are live, the workspace's own before the default."""
    return min(live, key=lambda version: version.tenant_id is None, default=None)


@require_GET
@needs(Permission.MANAGE_PROMPTS)
def prompt(request: WorkspaceRequest, prompt: str) -> HttpResponse:
    """What is in force, and every version there is."""
    found = prompt_or_404(prompt)
    versions = visible_versions(found).order_by("-created_at", "-number").annotate(published_at=Max("publications__at"))
    listed = list(versions[:LISTED])
    live = PromptVersion.objects.live(prompt)
    current = Publication.objects.filter(prompt=found, version=live).select_related("by").order_by("-at").first()
    context = {
        "prompt": found,
        "live": live,
        "current": current,
        "versions": listed,
        "default": next((version for version in listed if version.is_live and version.tenant_id is None), None),
        "experiment": Experiment.objects.filter(prompt=found, stopped_at=None).order_by("tenant_id").first(),
    }
    return render(request, "prompts/prompt.html", context)


@require_http_methods(["GET", "POST"])
@needs(Permission.MANAGE_PROMPTS)
def edit(request: WorkspaceRequest, prompt: str) -> HttpResponse:
    """Another version, begun from the one in force or from `?from=`; saved as a draft, or put in force at once."""
    found = prompt_or_404(prompt)
    begun_from = version_of(found, request.GET.get("from")) or PromptVersion.objects.live(prompt)
    form = VersionForm(request.POST if request.method == "POST" else None, of=begun_from)
    if request.method == "POST" and form.is_valid() and (version := form.save(prompt)):
        if "publish" in request.POST:
            publish.publish(version)
            messages.success(request, f"Version {version.number} is in force from the next call on.")
            return redirect("prompts:prompt", prompt=prompt)
        messages.success(request, f"Version {version.number} is saved as a draft. Try it, then put it in force.")
        return redirect("prompts:version", id=version.id)
    return render(request, "prompts/edit.html", {"form": form, "version": begun_from, "prompt": begun_from.prompt})


@require_http_methods(["GET", "POST"])
@needs(Permission.MANAGE_PROMPTS)
def make(request: WorkspaceRequest) -> HttpResponse:
    """A prompt of the workspace's own, for batches."""
    form = MakeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and (version := form.make()):
        messages.success(request, f"{version.prompt.name} is there, and its first version in force.")
        return redirect("prompts:prompt", prompt=version.prompt.name)
    return render(request, "prompts/edit.html", {"form": form})


@require_GET
@needs(Permission.MANAGE_PROMPTS)
def version(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """One version, and what differs from another: the one in force unless `?with=` names one."""
    found = get_object_or_404(PromptVersion.objects.visible().select_related("prompt", "author"), pk=id)
    name = found.prompt.name
    live = PromptVersion.objects.live(name)
    other = version_of(found.prompt, request.GET.get("with")) or (live if live != found else before(found))
    old, new = (other, found) if other is None or other.created_at <= found.created_at else (found, other)
    context = {
        "version": found,
        "prompt": found.prompt,
        "live": live,
        "other": other,
        "others": visible_versions(found.prompt).exclude(pk=found.pk).order_by("-created_at")[:LISTED],
        "old": old,
        "new": new,
        "lines": diff(old.body, new.body) if old else [],
        "changed": changed(old, new) if old else [],
        "may_be_discarded": is_draft(found),
    }
    return render(request, "prompts/version.html", context)


@require_POST
@needs(Permission.MANAGE_PROMPTS)
def publish_version(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """Put it in force; of a default, go back to it."""
    found = get_object_or_404(PromptVersion.objects.visible().select_related("prompt", "author"), pk=id)
    if found.tenant_id is None and not found.is_live:
        messages.error(request, "Only the service can put an older default in force. Make it a version of your own.")
        return redirect("prompts:version", id=id)
    if found.tenant_id is None:
        return to_default(request, found.prompt.name)
    publish.publish(found)
    messages.success(request, f"Version {found.number} is in force from the next call on.")
    return redirect("prompts:prompt", prompt=found.prompt.name)


@require_POST
@needs(Permission.MANAGE_PROMPTS)
def discard_version(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(PromptVersion.objects.visible().select_related("prompt", "author"), pk=id)
    try:
        publish.discard(found)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("prompts:version", id=id)
    messages.success(request, f"Version {found.number} is deleted.")
    return redirect("prompts:prompt", prompt=found.prompt.name)


@require_POST
@needs(Permission.MANAGE_PROMPTS)
def roll_back(request: WorkspaceRequest, prompt: str) -> HttpResponse:
    prompt_or_404(prompt)
    try:
        back = publish.roll_back(prompt)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        said = f"Version {back.number} is" if back else "The default is"
        messages.success(request, f"{said} in force again, from the next call on.")
    return redirect("prompts:prompt", prompt=prompt)


@require_POST
@needs(Permission.MANAGE_PROMPTS)
def back_to_default(request: WorkspaceRequest, prompt: str) -> HttpResponse:
    prompt_or_404(prompt)
    return to_default(request, prompt)


def to_default(request: WorkspaceRequest, name: str) -> HttpResponse:
    try:
        publish.back_to_default(name)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "The default is in force again, from the next call on. Your versions are kept.")
    return redirect("prompts:prompt", prompt=name)


def prompt_or_404(name: str) -> Prompt:
    try:
        return publish.find(name)
    except Prompt.DoesNotExist:
        raise Http404 from None


def version_of(prompt: Prompt, id: str | None) -> PromptVersion | None:
    """The version that a page's address names; None if it names none. Raises Http404 for one that isn't there."""
    if not id:
        return None
    try:
        return get_object_or_404(visible_versions(prompt), pk=UUID(id))
    except ValueError:
        raise Http404 from None


def before(version: PromptVersion) -> PromptVersion | None:
    found: PromptVersion | None = (
        visible_versions(version.prompt).filter(created_at__lt=version.created_at).order_by("-created_at").first()
    )
    return found


def changed(old: PromptVersion, new: PromptVersion) -> list[dict[str, Any]]:
    """What differs beside the words."""
    labels = {"tier": "Models that answer", "max_output_tokens": "Longest answer"}
    return [
        {"label": label, "before": getattr(old, name) or "as usual", "after": getattr(new, name) or "as usual"}
        for name, label in labels.items()
        if getattr(old, name) != getattr(new, name)
    ]


def is_draft(version: PromptVersion) -> bool:
    return bool(
        version.tenant_id and not version.is_live and not version.publications.exists() and not version.arms.exists()
    )
