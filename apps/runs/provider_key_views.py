"""A workspace's own accounts with providers: a section of its settings."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.cache import cache
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.tenants import features, provider_keys, traces
from apps.tenants.http import WorkspaceRequest
from apps.tenants.models import ProviderKey
from apps.tenants.permissions import Permission, needs
from apps.tenants.vault import Secret, VaultError

from .models import ModelPrice, Processing
from .provider_key_forms import AddForm, ReplaceForm, UseForm, secret_of
from .try_key import Trial, try_key

LISTED_S = 3600  # how long what a provider listed is remembered
CANT_SEAL = "The key can’t be kept safe right now, so it isn’t kept at all. Tell whoever runs this service."
CANT_OPEN = "The key can’t be opened right now. Enter it anew, or tell whoever runs this service."


@require_GET
@needs(Permission.CHANGE_SETTINGS)
def listing(request: WorkspaceRequest) -> HttpResponse:
    return show(request, AddForm())


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def add(request: WorkspaceRequest) -> HttpResponse:
    form = AddForm(request.POST)
    if not features.has(request.workspace, "own_keys"):
        form.add_error(None, str(features.NotIncluded("own_keys")))
    if form.is_valid():
        said, secret = form.cleaned_data, secret_of(form)
        names = said["models"]
        trial = try_key(said["kind"], said["base_url"], secret, next(iter(names), ""))
        if trial.fault:
            form.add_error(None, trial.fault)
            return show(request, form)
        row = ProviderKey(name=said["name"], kind=said["kind"], base_url=said["base_url"], model_names=names)
        row.is_on = bool(names)
        try:
            provider_keys.add(row, secret)
        except provider_keys.NameTaken:
            form.add_error(
                "name", f"There is a key named {row.name} already. Choose another name, or replace that one."
            )
        except provider_keys.BadKey as fault:
            form.add_error(None, str(fault))
        except VaultError:
            form.add_error(None, CANT_SEAL)
        else:
            remember(row, trial)
            messages.success(request, "The key works, and is stored.")
            return redirect("provider-keys:use", row.pk)
    return show(request, form)


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def use(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """Which models a key is used for, and what they cost. One that is chosen anew is asked for a word."""
    row = find(id)
    form = UseForm(request.POST if request.method == "POST" else None, row, listed(row))
    if request.method == "POST" and form.is_valid():
        values, had_none = form.values(), not row.model_names
        new = next((name for name in values["model_names"] if name not in row.model_names), "")
        trial = try_stored(row, new) if new else Trial()
        if trial.fault:
            form.add_error(None, trial.fault)
        else:
            provider_keys.settle(row, **values)
            provider_keys.switch(row, is_on=bool(row.model_names) and (row.is_on or had_none))
            messages.success(request, "That is saved. It counts from the next question on.")
            return redirect("provider-keys:list")
    return show_one(request, row, form, ReplaceForm())


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def replace(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    row, form = find(id), ReplaceForm(request.POST)
    if form.is_valid():
        trial = try_key(row.kind, row.base_url, secret_of(form), next(iter(row.model_names), ""))
        if trial.fault:
            form.add_error("key", trial.fault)
        else:
            try:
                provider_keys.replace(row, secret_of(form))
            except VaultError:
                form.add_error("key", CANT_SEAL)
            else:
                remember(row, trial)
                messages.success(request, "The new key works, and the one before is gone.")
                return redirect("provider-keys:list")
    return show_one(request, row, UseForm(None, row, listed(row)), form)


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def test(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    row = find(id)
    trial = try_stored(row, next(iter(row.model_names), ""))
    provider_keys.tried(row, trial.fault)
    remember(row, trial)
    if not trial.fault:
        messages.success(request, f"{row.name} works.")
    return redirect("provider-keys:list")


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def switch(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    row = find(id)
    is_on = request.POST.get("on") == "true"
    if is_on and not row.model_names:
        messages.error(request, "Choose at least one model first.")
        return redirect("provider-keys:use", row.pk)
    provider_keys.switch(row, is_on=is_on)
    return redirect("provider-keys:list")


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def remove(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    row = find(id)
    provider_keys.remove(row)
    messages.success(request, f"{row.name} is removed.")
    return redirect("provider-keys:list")


def find(id: UUID) -> ProviderKey:
    return get_object_or_404(ProviderKey.objects, pk=id)


def try_stored(row: ProviderKey, model: str) -> Trial:
    try:
        secret: Secret = provider_keys.reveal(row)
    except VaultError:
        return Trial(CANT_OPEN)
    return try_key(row.kind, row.base_url, secret, model)


def remember(row: ProviderKey, trial: Trial) -> None:
    if trial.models:
        cache.set(traces.key("provider-models", row.pk), trial.models, LISTED_S)


def listed(row: ProviderKey) -> tuple[str, ...]:
    """What the provider listed when the key was tried, if that isn't long ago."""
    return tuple(cache.get(traces.key("provider-models", row.pk)) or ())


def unpriced(row: ProviderKey) -> list[str]:
    """Its models that are refused because nobody knows what they cost."""
    if row.input_usd is not None:
        return []
    if row.base_url:
        return list(row.model_names)
    now = Q(valid_from__lte=Now()) & (Q(valid_to=None) | Q(valid_to__gt=Now()))
    found = ModelPrice.objects.filter(now, processing=Processing.ONLINE, provider=row.kind, model__in=row.model_names)
    priced = set(found.values_list("model", flat=True))
    return [name for name in row.model_names if name not in priced]


def show(request: WorkspaceRequest, form: AddForm) -> HttpResponse:
    rows = [{"key": row, "unpriced": unpriced(row)} for row in ProviderKey.objects.order_by("name")]
    return render(request, "runs/provider_keys.html", {"form": form, "rows": rows})


def show_one(request: WorkspaceRequest, row: ProviderKey, form: UseForm, replacing: ReplaceForm) -> HttpResponse:
    context: dict[str, Any] = {"key": row, "form": form, "replacing": replacing, "unpriced": unpriced(row)}
    return render(request, "runs/provider_key.html", context)
