"""Every task, published for one tenant with another's objects, and published for nobody."""

import inspect
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from celery.result import EagerResult
from django.apps import apps

from apps.tenants.context import NOBODY, current_scope
from config.celery import HEADER, TenantTask, app
from config.queues import ALL, EVERY_S, TASKS

from .attack import Visitor, undone
from .report import size, tried
from .world import Side, World

# Arguments that are no object's id: by the task's name and the argument's, the values to try.
FILLERS: dict[tuple[str, str], Callable[[Side], list[Any]]] = {}

# Tasks that rightly refuse the world as it is: what they raise.
REFUSES = {"apps.tenants.tasks.erase_workspace": "NotLeaving"}


def tasks() -> dict[str, TenantTask]:
    app.loader.import_default_modules()
    return {name: task for name, task in sorted(app.tasks.items()) if name.startswith("apps.")}


def calls(task: TenantTask, side: Side) -> Iterator[list[Any]]:
    """Arguments naming the side's objects: every row of the model that an argument is named after."""
    models = {model._meta.model_name: rows for model, rows in side.rows.items()} | {"tenant": [side.tenant]}
    values = []
    for name in inspect.signature(task.run).parameters:
        if filler := FILLERS.get((task.name, name)):
            values.append(filler(side))
        elif rows := models.get(name.removesuffix("_id")):
            values.append([str(row.pk) for row in rows])
        else:
            pytest.fail(
                f"{task.name} takes {name}, which names no model. Give FILLERS in tests/sweep/test_tasks.py what it "
                f"takes, under {(task.name, name)}."
            )
    yield from map(list, product(*values))


def run(task: TenantTask, arguments: list[Any], headers: dict[str, str]) -> EagerResult:
    """As a worker runs it: with the signals that enter and leave the tenant."""
    result = task.apply(arguments, headers=headers)
    assert current_scope() == NOBODY
    return result


@pytest.mark.parametrize("name", tasks())
def test_a_task_of_one_tenant_does_nothing_to_anothers_objects(world: World, name: str) -> None:
    task, onlooker = tasks()[name], Visitor(world, None, world.acme)
    for arguments in calls(task, world.acme):
        with undone():
            result = run(task, arguments, {HEADER: str(world.globex.tenant.pk)})
            changes = onlooker.damage()
        tried("tasks", "with another's objects")

        assert changes == []
        assert task.platform_wide or onlooker.leaks(f"{result.result} {result.traceback}", sent=str(arguments)) == []


@pytest.mark.parametrize("name", tasks())
def test_a_task_does_its_own_tenants_work(world: World, name: str) -> None:
    """Else it would leave another's objects alone for another reason."""
    task = tasks()[name]
    for arguments in calls(task, world.globex):
        with undone():
            result = run(task, arguments, {HEADER: str(world.globex.tenant.pk)})
        tried("tasks", "with its own")

        assert type(result.result).__name__ == REFUSES[name] if name in REFUSES else result.successful()


@pytest.mark.parametrize("name", [name for name, task in tasks().items() if not task.platform_wide])
@pytest.mark.parametrize("headers", [{}, {HEADER: str(uuid4())}], ids=["no tenant", "no such tenant"])
def test_a_task_without_a_tenant_fails(world: World, name: str, headers: dict[str, str]) -> None:
    task, onlooker = tasks()[name], Visitor(world, None, world.acme)
    for arguments in calls(task, world.acme):
        with undone():
            result = run(task, arguments, headers)
            changes = onlooker.damage()
        tried("tasks", "without a tenant")

        assert result.failed() and "NoTenantHeader" in result.traceback
        assert changes == []


def test_only_these_tasks_are_of_no_tenant() -> None:
    """A new one belongs here, with the reason beside its declaration."""
    of_nobody = {name for name, task in tasks().items() if task.platform_wide}

    size("task", len(tasks()))
    assert of_nobody == {"apps.tenants.tasks.erase_workspace", *EVERY_S}
    assert {config.label for config in apps.get_app_configs()} >= {name.split(".")[1] for name in tasks()}


def test_every_task_has_one_queue() -> None:
    routed = [task for queue in ALL for task in TASKS[queue]]

    assert sorted(routed) == sorted(tasks())
