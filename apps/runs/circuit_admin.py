"""The breaker as the platform's operators see it: every circuit, and a way to close one."""

import logging
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET, require_POST
from redis import RedisError

from apps.tenants.models import Tenant
from apps.tenants.platform import require_platform

from .chain import OFFLINE, configured
from .circuit_views import REASONS, reader
from .gateway import circuits
from .gateway.breaker import circuit_key
from .gateway.circuits import Circuit

LABELS = {"closed": ("success", "closed"), "open": ("danger", "open"), "half-open": ("warning", "half-open")}

log = logging.getLogger(__name__)


def pages(site: admin.AdminSite) -> list[URLPattern]:
    return [
        path("circuits/", site.admin_view(circuits_page), name="circuits"),
        path("circuits/close/", site.admin_view(close_circuit), name="close-circuit"),
    ]


@require_GET
@permission_required("runs.view_modelroute", raise_exception=True)
def circuits_page(request: HttpRequest) -> HttpResponse:
    ours = {circuit_key(target.provider, target.model) for target in configured() if target != OFFLINE}
    try:
        with reader() as redis:
            found = circuits.read(redis, sorted(ours | set(circuits.names(redis))))
    except RedisError:
        found = None
    names = workspaces(circuit.tenant_id for circuit in found or [] if circuit.tenant_id)
    everybodys = [each for each in found or [] if not each.tenant_id]
    own = [each for each in found or [] if each.tenant_id]
    context = {
        **admin.site.each_context(request),
        "title": "Circuits",
        "is_unknown": found is None,
        "everybodys": table(request, everybodys),
        "own": table(request, own, names),
    }
    return TemplateResponse(request, "admin/circuits.html", context)


@require_POST
@permission_required("runs.change_modelroute", raise_exception=True)
def close_circuit(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("name", "")
    try:
        with reader() as redis:
            was_open = circuits.close(redis, name)
    except ValueError:
        messages.error(request, "There is no such circuit.")
    except RedisError:
        messages.error(request, "Redis doesn’t answer, so nothing was changed. Try again in a moment.")
    else:
        if was_open:
            log.warning("%s: closed by hand, by user %s", name, request.user.pk)
            messages.success(request, "It is closed. Calls go through again, from now on.")
        else:
            messages.info(request, "It was closed already.")
    return redirect("admin:circuits")


def workspaces(ids: Any) -> dict[UUID, Tenant]:
    wanted = set(ids)
    return Tenant.objects.using(require_platform()).in_bulk(wanted) if wanted else {}


def table(request: HttpRequest, found: list[Circuit], names: dict[UUID, Tenant] | None = None) -> dict[str, Any] | None:
    """What unfold's table takes; None without rows."""
    if not found:
        return None
    owner = ["Workspace"] if names is not None else []
    return {
        "headers": [*owner, "Provider", "Model", "State", "Failed, last minute", "Why", ""],
        "rows": [row(request, circuit, names) for circuit in found],
    }


def row(request: HttpRequest, circuit: Circuit, names: dict[UUID, Tenant] | None) -> list[Any]:
    variant, text = LABELS[circuit.state]
    owner = [names.get(circuit.tenant_id, "removed") if circuit.tenant_id else ""] if names is not None else []
    context = {"circuit": circuit, "variant": variant, "text": text}
    return [
        *owner,
        circuit.provider,
        circuit.model,
        render_to_string("admin/_circuit_state.html", context),
        f"{circuit.failed} of {circuit.calls}" if circuit.calls else "no calls",
        REASONS.get(circuit.reason, "") if circuit.state != "closed" else "",
        render_to_string("admin/_circuit_close.html", context, request) if circuit.state != "closed" else "",
    ]
