"""What was in force before, read from the publications: each is a step, and rolling back takes steps back."""

from uuid import UUID

from django.db.models import QuerySet

from .models import PromptVersion, Publication


def one_before(current: PromptVersion, *, among: QuerySet[PromptVersion]) -> PromptVersion | None:
    """The version that `current`, which is in force, took the place of. None for the default, or where nothing was.

    What was rolled back doesn't count: after 1, 2, back to 1, and 3, it is 1.
    """
    publications = Publication.unscoped.using(current._state.db)
    steps: list[UUID | None] = [None]
    for version, goes_back in (
        publications.filter(prompt_id=current.prompt_id, tenant_id=current.tenant_id)  # type: ignore[misc]
        .order_by("at")
        .values_list("version_id", "goes_back")
    ):
        while goes_back and steps and steps[-1] != version:
            steps.pop()
        if not steps or steps[-1] != version:
            steps.append(version)
    if steps[-1] == current.pk:
        steps.pop()
    return among.filter(pk=steps[-1]).first() if steps and steps[-1] else None
