"""The task queue. Every task acts for the tenant that published it.

The tenant travels in a message header: stamped when a task is published, entered before it runs, left after its
callbacks were published, so that they inherit it. `Task.__call__` is too late and too early for that; it only
refuses to run without.
"""

import os
import time
from typing import Any
from uuid import UUID

from celery import Celery, Task
from celery.exceptions import TaskPredicate
from celery.signals import before_task_publish, celeryd_init, task_failure, task_postrun, task_prerun

from config.fair.transport import COST, TENANT, TRIES
from config.retries import MOST_HANDED_OUT, MOST_RETRIES, KillsItsWorkers, wait_s

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

HEADER = TENANT
FIRST_HEADER = "published_at"  # seconds since 1970; a retry keeps it


class NoTenantHeader(RuntimeError):
    """A task that isn't declared `platform_wide` has no tenant, or one that no longer exists."""


class TenantClosed(RuntimeError):
    """A task of a tenant that is suspended or being deleted, which it doesn't serve."""


class TenantTask(Task):
    abstract = True
    platform_wide = False
    serves = ("active",)  # statuses of a tenant; a suspended one's tasks are refused
    cost_s: float | None = None  # what it takes of a worker, where that is known; else it is measured
    retries_on: tuple[type[BaseException], ...] = ()  # beside what config.retries says of every task
    max_retries = MOST_RETRIES

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self.refuse()
            return super().__call__(*args, **kwargs)
        except TaskPredicate:  # it says itself what is to become of it
            raise
        except Exception as error:
            after_s = wait_s(error, self.request.retries, also=self.retries_on)
            if after_s is None:
                raise
            kept = {name: value for name in (COST, FIRST_HEADER) if (value := self.request.get(name)) is not None}
            raise self.retry(exc=error, countdown=after_s, headers=kept) from error

    def refuse(self) -> None:
        if error := getattr(self.request, "tenancy_error", None):
            raise error
        if (self.request.get(TRIES) or 0) > MOST_HANDED_OUT:
            raise KillsItsWorkers(f"{self.name}: handed out {MOST_HANDED_OUT} times, and it never came to an end.")
        if status := getattr(self.request, "tenant_closed", None):
            raise TenantClosed(f"{self.name}: the workspace is {status}, so nothing is done in it.")
        if not self.platform_wide and not getattr(self.request, "tenancy", None):
            raise NoTenantHeader(f"{self.name}: publish it inside tenant_context(), or declare it platform_wide.")

    def apply_async(self, *args: Any, cost_s: float | None = None, **options: Any) -> Any:
        """As Celery's. cost_s: the seconds that this one will take, where that is known better than for the task."""
        if cost_s is not None:
            options["headers"] = {**(options.get("headers") or {}), COST: cost_s}
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
    headers.setdefault(FIRST_HEADER, time.time())
    task = app.tasks.get(headers["task"])
    if task is not None and (cost_s := getattr(task, "cost_s", None)) is not None:
        headers.setdefault(COST, cost_s)


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


@task_failure.connect
def keep_dead_letter(
    sender: Any, task_id: str, exception: BaseException, args: Any = (), kwargs: Any = None, **_: Any
) -> None:
    """It was given up. In this worker's pool, or in its parent if the process that ran it is gone."""
    if not sender.request.is_eager:
        from apps.tenants.dead_letters import keep

        keep(sender, task_id, exception, args or (), kwargs or {})


@celeryd_init.connect
def refuse_unsafe_database(**_: Any) -> None:
    from apps.tenants.checks import refuse_to_serve

    refuse_to_serve()
