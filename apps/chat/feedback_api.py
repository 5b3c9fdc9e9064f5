"""POST runs/<id>/feedback: what a program's user thought of an answer, told by the key that had it made."""

from typing import Any
from uuid import UUID

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from pydantic_core import from_json

from apps.runs.api import api_view
from apps.runs.api_request import Unfit
from apps.runs.models import Run
from apps.tenants.threads import in_thread

from .feedback import FeedbackForm, give, take_back

FIELDS = ("rating", "reason", "comment")
MENDS = {"rating": "Send 1, -1, or null to take it back.", "reason": "Send one of those in the documentation, or none."}


@api_view("POST")
async def run_feedback(request: HttpRequest, id: UUID) -> HttpResponse:
    return JsonResponse(await in_thread(write, request, id))


def write(request: HttpRequest, id: UUID) -> dict[str, Any]:
    """Raises Unfit."""
    said = read(request)
    run = Run.objects.filter(
        pk=id,
        api_key=request.api_key,  # type: ignore[attr-defined]
        kind=Run.Kind.COMPLETION,
        purpose=Run.Purpose.ANSWER,
        status__in=(Run.Status.OK, Run.Status.STOPPED),
    ).first()
    if run is None:
        message = "This key has made no finished run with that id. Send the x-request-id of an answer."
        raise Unfit(message, param="id", status=404, code="not_found")
    if said["rating"] is None:
        take_back(None, run)
    else:
        give(None, run, **said)
    return {"object": "run.feedback", "run": str(run.pk), **said}


def read(request: HttpRequest) -> dict[str, Any]:
    try:
        data = from_json(request.body)  # it minds depth, and halves of surrogate pairs
    except RequestDataTooBig:
        raise Unfit("The body is too long. Send less at once.", status=413, code="too_large") from None
    except ValueError:
        raise Unfit('The body is not JSON. Send an object, such as {"rating": 1}.', code="invalid_json") from None
    if not isinstance(data, dict) or "rating" not in data:
        raise Unfit("There is no rating. " + MENDS["rating"], param="rating")
    if unknown := sorted(set(data) - set(FIELDS)):
        raise Unfit(
            f"There is no field “{unknown[0]}”. Send rating, and reason and comment if you like.", param=unknown[0]
        )
    for name in ("reason", "comment"):
        if not isinstance(data.get(name, ""), str | None):
            raise Unfit(f"The {name} is no text. Send one, or leave it out.", param=name)
    form = FeedbackForm({name: "" if value is None else value for name, value in data.items()})
    for name, errors in form.errors.items():
        raise Unfit(" ".join([*errors, MENDS.get(name, "")]).strip(), param=name)
    return form.cleaned_data
