"""Stripe's own way in: no session, no workspace, only its signature."""

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError as QueueAway

from . import webhooks
from .tasks import process_stripe_events

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000


@csrf_exempt  # what proves where it comes from is its signature
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 once the event is stored, 400 for what Stripe didn't sign: it sends what isn't answered by 2xx again."""
    if int(request.headers.get("Content-Length") or 0) > MOST_BYTES:
        return JsonResponse({"error": "too large"}, status=413)
    try:
        event_id = webhooks.store(request.body, request.headers.get("Stripe-Signature", ""))
    except webhooks.NotStripes:
        return JsonResponse({"error": "The signature is not of this endpoint’s secret, or too old."}, status=400)
    try:
        process_stripe_events.delay()
    except QueueAway:
        log.exception("the event %s waits until the clock has events processed", event_id)
    return JsonResponse({"stored": event_id})
