"""An answer becomes an eval case: a copy without personal data that an admin edits, and approves or rejects."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.tenants.audit import record
from apps.tenants.models import Membership, User

from ..feedback import finished
from ..models import EvalCase, Feedback, Message
from .redact import redact

State = EvalCase.State


def shown_to(admin: User) -> QuerySet[Message]:
    """Answers that an admin may read: those whose reader rated them, and the admin's own. No others, ever."""
    return finished().filter(Q(feedback__isnull=False) | Q(conversation__user=admin))


def make(message: Message, *, by: User) -> EvalCase:
    """The answer's case: a new draft, or what was made of it before. Who may is the caller's to check.

    A good answer's files are what a right one cites; of a bad one nothing is known yet.
    """
    if there := EvalCase.objects.filter(message=message).first():
        return there  # type: ignore[no-any-return]
    names = names_known(message)
    sources = [source(citation, names) for citation in message.citations.select_related("document").order_by("number")]
    is_good = Feedback.objects.filter(message=message, rating=Feedback.Rating.UP).exists()
    answer = redact(message.text, names)
    question = message.in_reply_to.text if message.in_reply_to else ""
    try:
        with transaction.atomic():
            case: EvalCase = EvalCase.objects.create(
                message=message,
                run=message.run,
                question=redact(question, names),
                answer=answer,
                sources=sources,
                expected=answer if is_good else "",
                cites=list(dict.fromkeys(each["file"] for each in sources)) if is_good else [],
                made_by=by,
            )
            log("eval_case.made", case)
    except IntegrityError:  # somebody else did at the same moment
        return EvalCase.objects.get(message=message)  # type: ignore[no-any-return]
    return case


def source(citation: Any, names: list[str]) -> dict[str, Any]:
    return {
        "number": citation.number,
        "file": citation.document.filename,
        "title": redact(citation.document.title, names),
        "heading": redact(citation.heading, names),
        "quote": redact(citation.quote, names),
    }


def names_known(message: Message) -> list[str]:
    """Of the workspace's members, and of who asked."""
    people = [member.user for member in Membership.objects.select_related("user")] + [message.conversation.user]
    return [name for person in people for name in names_of(person)]


def names_of(person: User) -> list[str]:
    """Who gave no name may be called by what stands in the address: "Alice", for alice.archer@acme.example."""
    local = person.email.partition("@")[0]
    return [person.name] if person.name else [part.title() for part in local.split(".") if part.isalpha()]


@transaction.atomic
def review(case: EvalCase, *, by: User, state: str = "", **values: Any) -> None:
    """Write what the reviewer made of it. `state` is approved or rejected; without, it keeps the one it has."""
    before = {name: getattr(case, name) for name in ("state", *values)}
    case.state = state or case.state
    for name, value in values.items():
        setattr(case, name, value)
    if before == {name: getattr(case, name) for name in before}:
        return
    case.reviewed_by, case.reviewed_at = by, timezone.now()
    case.save()
    if case.state == before["state"]:
        log("eval_case.changed", case)
    else:
        log("eval_case.approved" if case.state == State.APPROVED else "eval_case.rejected", case)


@transaction.atomic
def remove(case: EvalCase) -> None:
    log("eval_case.removed", case)
    case.delete()


def log(action: str, case: EvalCase) -> None:
    """Without its words: nobody can take them out of the log again."""
    record(action, case=str(case.pk))
