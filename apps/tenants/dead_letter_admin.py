"""Tasks that were given up: everybody's for the platform's operators, a workspace's own for its owners and admins."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from kombu.exceptions import OperationalError as QueueAway

from .audit import record
from .context import tenant_id_context
from .dead_letters import can_try_again, try_again
from .models import DeadLetter
from .permissions import Permission
from .platform import AcrossTenants
from .workspace_admin import OfWorkspace


class Letters:
    """What both pages show and do."""

    ordering = ("-last_at",)
    fields = ("task", "queue", "args", "error_class", "error_message", "tries", "first_at", "last_at", "task_id")
    actions = ("try_again",)

    @admin.display(description="Task", ordering="task")
    def what(self, letter: DeadLetter) -> str:
        return str(letter)

    @admin.display(description="Can be tried again", boolean=True)
    def can_be_tried(self, letter: DeadLetter) -> bool:
        return can_try_again(letter)

    @admin.action(description="Try again", permissions=["view"])
    def try_again(self, request: Any, queryset: QuerySet[DeadLetter]) -> None:
        done = failed = 0
        try:
            for letter in queryset:
                is_done = try_again(letter)
                done, failed = done + is_done, failed + (not is_done)
                if is_done and letter.tenant_id:
                    with tenant_id_context(letter.tenant_id):
                        record("task.tried_again", task=letter.task)
        except QueueAway:
            messages.error(request, "The queue doesn’t answer. Try again in a moment.")
        if done:
            messages.success(request, f"{done} {'task is' if done == 1 else 'tasks are'} queued again.")
        if failed:
            why = "what they were given isn’t kept, or there is no such task any more."
            messages.warning(request, f"{failed} can’t be tried again from here: {why}")


@admin.register(DeadLetter)
class EveryDeadLetterAdmin(Letters, AcrossTenants):
    list_display = ("last_at", "what", "whose", "queue", "error_class", "error_message", "tries", "can_be_tried")
    list_filter = ("queue", "task", "error_class")
    list_select_related = ("tenant",)
    search_fields = ("tenant__name", "tenant__slug", "task", "error_class", "error_message")

    @admin.display(description="For", ordering="tenant__name")
    def whose(self, letter: DeadLetter) -> str:
        return letter.tenant.name if letter.tenant else "the platform"


class DeadLetterAdmin(Letters, OfWorkspace):
    permission = Permission.CHANGE_SETTINGS
    list_display = ("last_at", "what", "queue", "error_class", "error_message", "tries", "can_be_tried")
    list_filter = ("queue", "error_class")
    search_fields = ("task", "error_class", "error_message")
