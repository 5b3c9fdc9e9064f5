"""Which version of a prompt is in force: written, published, rolled back. The next call in any process follows.

    make(name, body, ...)         a prompt of the active workspace's own, with its first version
    write(name, body, ...)        another version of the active workspace's own, not in force yet
    publish(version)              puts one of its own in force, in the place of the default
    roll_back(name, ...)          the one that was in force before, else the default
    back_to_default(name)         none of its own is in force any more

Each has a line in the workspace's audit log, and the last three end the workspace's experiment on the prompt, so that
what is in force is so for all its people. `defaults` does the same for everybody.
"""

from typing import Any

from django.db import transaction
from django.db.models import F, Max, ProtectedError, QuerySet
from django.db.models.functions import Now

from apps.tenants.audit import record
from apps.tenants.context import current_scope, require_tenant_id
from apps.tenants.models import Tenant

from .history import one_before
from .models import Experiment, Prompt, PromptVersion, Publication
from .spec import MOST_OUTPUT_TOKENS, BadPrompt, Spec, Variable

MESSAGE_CHARS = 200
FEATURE = "batch"  # what asks with prompts that workspaces made


class Refused(ValueError):
    """What can't be done with a version; its text says why, and what can."""


def write(
    name: str,
    body: str,
    *,
    message: str = "",
    tier: str = "",
    max_output_tokens: int | None = None,
    variables: tuple[Variable, ...] | None = None,
    output_schema: dict[str, Any] | None = None,
) -> PromptVersion:
    """A new version of the active workspace's own, which isn't in force yet.

    variables, output_schema: of a prompt that the workspace made itself; those of the catalog have the default's.
    Raises BadPrompt for a body that could not be filled in, Refused for one that says what the newest version says
    already, and Prompt.DoesNotExist.
    """
    body = clean(body)
    with transaction.atomic():
        lock()
        prompt = find(name)
        if max_output_tokens is not None and not 1 <= max_output_tokens <= MOST_OUTPUT_TOKENS:
            raise BadPrompt(f"{max_output_tokens} is no length", f"Write a number from 1 to {MOST_OUTPUT_TOKENS:,}.")
        if prompt.tenant_id is None:
            defaults = PromptVersion.objects.filter(prompt=prompt, tenant=None)
            known = defaults.order_by("-is_live", "-number")[0].spec
            variables, output_schema = known.variables, known.output_schema
        spec = Spec(variables or (), tier, max_output_tokens, output_schema)
        spec.check(body)
        own = own_versions(prompt)
        newest = own.order_by("-number").first()
        if newest and newest.checksum == spec.checksum(body):
            raise Refused(f"Version {newest.number} says exactly that already. Change something, or publish that one.")
        version = PromptVersion.objects.create(
            tenant_id=require_tenant_id(),
            prompt=prompt,
            number=(own.aggregate(newest=Max("number"))["newest"] or 0) + 1,
            body=body,
            checksum=spec.checksum(body),
            message=" ".join(message.split())[:MESSAGE_CHARS],
            author_id=current_scope().user_id,
            **spec.as_json(),
        )
        record("prompt.written", version, message=version.message)
    return version


def make(name: str, body: str, *, description: str = "", **written: Any) -> PromptVersion:
    """A prompt of the workspace's own, and its first version, which is in force. Raises BadPrompt and Refused."""
    with transaction.atomic():
        lock()
        if Prompt.objects.filter(name=name).exists():
            raise Refused(f"There is a prompt named {name} already. Choose another name.")
        prompt = Prompt.objects.create(
            tenant_id=require_tenant_id(), name=name, feature=FEATURE, description=" ".join(description.split())[:200]
        )
        record("prompt.made", prompt)
        return publish(write(name, body, **written))


def find(name: str) -> Prompt:
    """The prompt that this name means in the active workspace: the catalog's before one of its own.

    Raises Prompt.DoesNotExist.
    """
    found: Prompt | None = Prompt.objects.filter(name=name).order_by(F("tenant_id").asc(nulls_first=True)).first()
    if found is None:
        raise Prompt.DoesNotExist(f"No prompt is named {name!r}.")
    return found


def clean(body: str) -> str:
    return body.replace("\r\n", "\n").strip()


def publish(version: PromptVersion) -> PromptVersion:
    """Put a version of the active workspace in force. The default isn't published, but gone back to."""
    if version.tenant_id != require_tenant_id():
        raise Refused("That is a default version. Go back to the default instead.")
    with transaction.atomic():
        lock()
        end_experiment(version.prompt)
        version.make_live()
        note(version.prompt, version)
        record("prompt.published", version)
    return version


def roll_back(name: str, *, to: int | None = None) -> PromptVersion | None:
    """Put the version in force that was so before the present one, or the one with the number `to`; without any, the
    default. Returns it, None for the default. Raises Refused where there is nothing to go back to, and
    Prompt.DoesNotExist.
    """
    with transaction.atomic():
        lock()
        own = own_versions(find(name))
        if to is not None:
            return publish(numbered(own, to))
        current = in_force(own, name)
        before = one_before(current, among=own)
        if before is None and current.prompt.tenant_id is not None:
            raise Refused(f"{current} is the first version that was in force.")
        if before is None:
            take_out(current, goes_back=True)
            return None
        end_experiment(before.prompt)
        before.make_live()
        note(before.prompt, before, goes_back=True)
        record("prompt.rolled_back", before, number={"before": current.number, "after": before.number})
        return before


def back_to_default(name: str) -> None:
    """No version of the active workspace is in force any more; they stay. Raises Refused if none was, and
    Prompt.DoesNotExist."""
    with transaction.atomic():
        lock()
        current = in_force(own_versions(find(name)), name)
        if current.prompt.tenant_id is not None:
            raise Refused(f"{name} is your own: there is no default to go back to.")
        take_out(current)


def in_force(own: QuerySet[PromptVersion], name: str) -> PromptVersion:
    if (current := own.filter(is_live=True).first()) is None:
        raise Refused(f"{name} has no version of this workspace in force: the default is.")
    return current


def take_out(current: PromptVersion, *, goes_back: bool = False) -> None:
    """The default is in force again."""
    end_experiment(current.prompt)
    PromptVersion.objects.filter(pk=current.pk).update(is_live=False)
    note(current.prompt, None, goes_back=goes_back)
    record("prompt.reset", current.prompt, number=current.number)


def end_experiment(prompt: Prompt) -> None:
    """Else people would be given its arms, and not what was just put in force."""
    running = Experiment.objects.filter(tenant_id=require_tenant_id(), prompt=prompt, stopped_at=None).first()
    if running is not None:
        Experiment.objects.filter(pk=running.pk).update(stopped_at=Now())
        record("experiment.stopped", running, winner="")


def discard(version: PromptVersion) -> None:
    """Delete a version of the active workspace that nothing points at. Raises Refused for any other."""
    with transaction.atomic():
        lock()
        if version.tenant_id != require_tenant_id():
            raise Refused("Default versions come from the catalog and stay.")
        if PromptVersion.objects.filter(pk=version.pk, is_live=True).exists():
            raise Refused(f"Version {version.number} is in force. Put another one in force first.")
        if version.publications.exists() or version.arms.exists():
            raise Refused(f"Version {version.number} has been in use, so it is kept: past answers point at it.")
        record("prompt.discarded", version)
        try:
            version.delete()
        except ProtectedError:  # by runs, or by batches
            raise Refused(f"Version {version.number} has been tried, so it is kept: its answers point at it.") from None


def own_versions(prompt: Prompt) -> QuerySet[PromptVersion]:
    own: QuerySet[PromptVersion] = PromptVersion.objects.filter(tenant_id=require_tenant_id(), prompt=prompt)
    return own.select_related("prompt")


def visible_versions(prompt: Prompt) -> QuerySet[PromptVersion]:
    """The active workspace's own and the defaults."""
    found: QuerySet[PromptVersion] = PromptVersion.objects.visible().filter(prompt=prompt)
    return found.select_related("prompt", "author")


def numbered(versions: QuerySet[PromptVersion], number: int) -> PromptVersion:
    if (version := versions.filter(number=number).first()) is None:
        raise Refused(f"There is no version {number}.")
    return version


def note(prompt: Prompt, version: PromptVersion | None, *, goes_back: bool = False) -> None:
    Publication.objects.create(
        tenant_id=require_tenant_id(),
        prompt=prompt,
        version=version,
        by_id=current_scope().user_id,
        goes_back=goes_back,
    )


def lock() -> None:
    """Of two who change the workspace's prompts at once, one waits."""
    Tenant.objects.select_for_update(no_key=True).get(pk=require_tenant_id())
