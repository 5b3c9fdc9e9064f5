"""The task queue. Every task acts for the tenant that published it.

The tenant travels in a message header: stamped when a task is published, entered before it runs, left after its
callbacks were published, so that they inherit it. `Task.__call__` is too late and too early for that; it only
refuses to run without.
"""

import os
from typing import Any
from uuid import UUID

from celery import Celery, Task
from celery.signals import before_task_publish, celeryd_init, task_postrun, task_prerun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

HEADER = "tenant_id"
COST_HEADER = "cost_s"
RETRY_S, MAX_RETRIES = 5, 60  # while the database is away


class NoTenantHeader(RuntimeError):
    """A task that isn't declared `platform_wide` has no tenant, or one that no longer exists."""


class TenantClosed(RuntimeError):
    """A task of a tenant that is suspended or being deleted, which it doesn't serve."""


class TenantTask(Task):
    abstract = True
    platform_wide = False
    serves = ("active",)  # statuses of a tenant; a suspended one's tasks are refused
    cost_s: float | None = None  # what it takes of a worker, where that is known; else it is measured

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if error := getattr(self.request, "tenancy_error", None):
            raise self.retry(exc=error, countdown=RETRY_S, max_retries=MAX_RETRIES)
        if status := getattr(self.request, "tenant_closed", None):
            raise TenantClosed(f"{self.name}: the workspace is {status}, so nothing is done in it.")
        if not self.platform_wide and not getattr(self.request, "tenancy", None):
            raise NoTenantHeader(f"{self.name}: publish it inside tenant_context(), or declare it platform_wide.")
        return super().__call__(*args, **kwargs)

    def apply_async(self, *args: Any, cost_s: float | None = None, **options: Any) -> Any:
        """As Celery's. cost_s: the seconds that this one will take, where that is known better than for the task."""
        if cost_s is not None:
            options["headers"] = {**(options.get("headers") or {}), COST_HEADER: cost_s}
        return super().apply_async(*args, **options)


app = Celery("corbel", task_cls=TenantTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@before_task_publish.connect
def stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    from apps.tenants.context import current_tenant_id

    if headers is None:
        return
    if tenant_id := current_tenant_id():
        headers.setdefault(HEADER, str(tenant_id))
    task = app.tasks.get(headers["task"])
    if task is not None and (cost_s := getattr(task, "cost_s", None)) is not None:
        headers.setdefault(COST_HEADER, cost_s)


@task_prerun.connect
def enter(task: Any, **_: Any) -> None:
    from apps.tenants.context import tenant_context
    from apps.tenants.models import Tenant

    task.request.tenancy = task.request.tenancy_error = task.request.tenant_closed = None
    tenant_id = (task.request.headers or {}).get(HEADER) or task.request.get(HEADER)
    try:
        tenant = Tenant.objects.with_id(UUID(tenant_id)) if tenant_id else None
    except Exception as error:  # Celery would log it and run the task all the same
        task.request.tenancy_error = error
        return
    if tenant and tenant.status not in task.serves:
        task.request.tenant_closed = tenant.status
    elif tenant:
        task.request.tenancy = tenant_context(tenant)
        task.request.tenancy.__enter__()


@task_postrun.connect
def leave(task: Any, **_: Any) -> None:
    if tenancy := getattr(task.request, "tenancy", None):
        tenancy.__exit__(None, None, None)
        task.request.tenancy = None


@celeryd_init.connect
def refuse_unsafe_database(**_: Any) -> None:
    from apps.tenants.checks import refuse_to_serve

    refuse_to_serve()
