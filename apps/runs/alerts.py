"""Telling people that a budget is half, nearly or wholly used: by mail, and in the pages of owners and admins.

The ledger writes an Alert for each threshold that is reached, once a budget, subject and period. `send` has them mailed
by a worker. Where that was not to be, `apps.runs.lost` has it done later: an alert is unsent until its mail was handed
over.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import Max, Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from apps.tenants.context import require_tenant_id, tenant_id_context
from apps.tenants.invitations import plain
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.once import Turn, once
from apps.tenants.permissions import ROLES_ALLOWED, Permission
from apps.tenants.templatetags.workspace import reverse_under

from .gauges import YOU, Gauge, Subject, period_end, period_start, subjects
from .models import Alert, Budget
from .models.budget import Scope

log = logging.getLogger(__name__)

SHOWN_FROM = 80  # percent; below it a mail is enough
MOST_COUNTED = 20
DISMISSED = "alerts_dismissed"  # in the session: by workspace, the time of the newest alert that was


def send(ids: Collection[UUID]) -> None:
    """Have the active tenant's new alerts mailed by a worker, once the transaction that wrote them is committed."""
    if ids:
        transaction.on_commit(partial(queue, require_tenant_id()))


def queue(tenant_id: UUID) -> None:
    from .tasks import mail_alerts

    try:
        with tenant_id_context(tenant_id):
            mail_alerts.delay()
    except BrokerError:
        log.exception("alerts of %s could not be queued; they are mailed later", tenant_id)


def mail_unsent() -> int:
    """Mail the active tenant's alerts that nobody has been told of; returns how many were.

    Two at once never mail the same one, and a second try doesn't mail again what the first one did. Raises
    SMTPException or OSError; what wasn't mailed by then is still unsent.
    """
    same: dict[Any, list[Alert]] = {}
    for alert in Alert.objects.filter(sent_at=None).select_related("budget").order_by("percent"):
        same.setdefault((alert.budget_id, alert.subject, alert.period_start), []).append(alert)
    sent = 0
    for alerts in same.values():
        # Whoever went past two thresholds at once is told of the higher.
        if all(hand_over(mail, alerts[-1], number) for number, mail in enumerate(mails_of(alerts[-1]))):
            sent += Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(sent_at=timezone.now())
    return sent


def hand_over(message: EmailMultiAlternatives, alert: Alert, number: int) -> bool:
    """Whether the mail is with the mail server, now or before."""
    with once(f"budget alert {alert.pk}, mail {number}") as turn:
        if turn is Turn.MINE:
            message.extra_headers["Message-ID"] = f"<{alert.pk}.{number}@{urlsplit(settings.PUBLIC_URL).hostname}>"
            get_connection().send_messages([message])
    return turn is not Turn.OTHERS


def mails_of(alert: Alert) -> list[EmailMultiAlternatives]:
    """One to everybody who sets budgets; for a person's budget, one to that person as well."""
    tenant: Tenant = Tenant.objects.get(pk=require_tenant_id())
    managers = Membership.objects.filter(role__in=ROLES_ALLOWED[Permission.MANAGE_BUDGETS], user__is_active=True)
    to = list(managers.order_by("user__email").values_list("user__email", flat=True))
    (said,) = gauges_of([alert])
    mails = [mail(alert, tenant, said, to, "budgets:list")] if to else []
    if alert.budget.scope == Scope.USER and (person := member(alert.subject)) and person.email not in to:
        mails.append(mail(alert, tenant, replace(said, subject=YOU), [person.email], "billing:usage"))
    return mails


def mail(alert: Alert, tenant: Tenant, gauge: Gauge, to: list[str], page: str) -> EmailMultiAlternatives:
    context = {
        "alert": alert,
        "budget": alert.budget,
        "gauge": gauge,
        "workspace_name": plain(tenant.name),
        "headline": headline(alert, gauge),
        "consequence": consequence(alert),
        "link": settings.PUBLIC_URL + reverse_under(f"/t/{tenant.slug}/", settings.WORKSPACE_URLCONF, page, ()),
        "is_own": page == "billing:usage",
    }
    text, html = (render_to_string(f"runs/email/budget_alert.{kind}", context) for kind in ("txt", "html"))
    message = EmailMultiAlternatives(f"{context['headline']}: {context['workspace_name']} on Corbel", text, None, to)
    message.attach_alternative(html, "text/html")
    return message


def member(user_id: str) -> User | None:
    found = Membership.objects.filter(user_id=user_id, user__is_active=True).select_related("user").first()
    return found.user if found else None


def gauges_of(alerts: Collection[Alert]) -> list[Gauge]:
    """As each was when its alert was given."""
    known = subjects({(alert.budget.scope, alert.subject) for alert in alerts})
    return [
        Gauge(
            known[alert.budget.scope, alert.subject],
            alert.spent_usd,
            Decimal(0),
            alert.budget,
            period_end(alert.budget.period, alert.period_start),
        )
        for alert in alerts
    ]


def headline(alert: Alert, gauge: Gauge) -> str:
    """ "80 % of the budget of bob@acme.example for November 2026 is spent"."""
    budget = f"{whose(alert.budget.scope, gauge.subject)} for {when(alert)}"
    if alert.percent < 100:
        return f"{alert.percent} % of {budget} is spent"
    # A call may have been refused before all is spent: what is left wasn't enough for it.
    is_spent = alert.spent_usd >= alert.budget.cap_usd
    return f"{budget[0].upper()}{budget[1:]} {'is used up' if is_spent else 'has no room for another call'}"


def consequence(alert: Alert) -> str:
    """What it means for calls, until the budget resets."""
    budget: Budget = alert.budget
    if alert.percent == 100 and budget.is_hard:
        return "Calls that could go beyond it are refused"
    if budget.soft_action == Budget.SoftAction.DEGRADE and alert.percent >= budget.soft_percent:
        return "Calls take cheap models"
    return "Calls go on"


def whose(scope: str, subject: Subject) -> str:
    if subject is YOU:
        return "your budget"
    kind = {Scope.WORKSPACE: "", Scope.USER: "", Scope.FEATURE: "the feature ", Scope.API_KEY: "the API key "}
    return "the workspace’s budget" if scope == Scope.WORKSPACE else f"the budget of {kind[Scope(scope)]}{subject}"


def when(alert: Alert) -> str:
    is_day = alert.budget.period == Budget.Period.DAY
    return f"{alert.period_start:%-d %B %Y}" if is_day else f"{alert.period_start:%B %Y}"


def shown(request: HttpRequest) -> list[dict[str, Any]]:
    """For the banner: budgets that are nearly or wholly used now, the worst first, unless that was dismissed."""
    at = timezone.now()
    under_way = Q()
    for period in Budget.Period.values:
        under_way |= Q(budget__period=period, period_start=period_start(period, at))
    found = Alert.objects.filter(under_way, percent__gte=SHOWN_FROM).select_related("budget")
    if newest := request.session.get(DISMISSED, {}).get(str(require_tenant_id())):
        found = found.filter(created_at__gt=newest)
    worst: dict[Any, Alert] = {}
    for alert in found.order_by("-percent", "-created_at")[:MOST_COUNTED]:
        worst.setdefault((alert.budget_id, alert.subject), alert)
    listed = list(worst.values())
    return [
        {"gauge": gauge, "headline": headline(alert, gauge), "consequence": consequence(alert)}
        for alert, gauge in zip(listed, gauges_of(listed), strict=True)
    ]


def dismiss(request: HttpRequest) -> None:
    """Hide what was given until now. What reaches its next threshold, or a new period, is a new alert and shown."""
    newest = Alert.objects.aggregate(at=Max("created_at"))["at"]
    if newest:
        before = request.session.get(DISMISSED, {})
        request.session[DISMISSED] = {**before, str(require_tenant_id()): newest.isoformat()}
