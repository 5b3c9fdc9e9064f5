"""A mail to owners and admins whose workspace's answers have become worse."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from apps.tenants.context import require_tenant_id
from apps.tenants.invitations import plain
from apps.tenants.models import Membership, Tenant
from apps.tenants.permissions import ROLES_ALLOWED, Permission
from apps.tenants.templatetags.workspace import reverse_under

from ..models import EvalReport
from .metrics import drift_sentence


def send(report: EvalReport) -> bool:
    """Whether one was sent: not twice for a report, and not for what the report before said already.

    Two at once never mail the same: the row is locked until its mail was handed over. Raises SMTPException or OSError,
    with the report still to be told of.
    """
    with transaction.atomic():
        report = EvalReport.objects.select_for_update().get(pk=report.pk)
        before = EvalReport.objects.filter(day__lt=report.day).order_by("-day").first()
        known = {each["metric"] for each in before.drift} if before else set()
        if report.mailed_at or not {each["metric"] for each in report.drift} - known or not (to := people()):
            return False
        get_connection().send_messages([mail(report, to)])
        EvalReport.objects.filter(pk=report.pk).update(mailed_at=timezone.now())
    return True


def people() -> list[str]:
    members = Membership.objects.filter(role__in=ROLES_ALLOWED[Permission.CHANGE_SETTINGS], user__is_active=True)
    return list(members.order_by("user__email").values_list("user__email", flat=True))


def mail(report: EvalReport, to: list[str]) -> EmailMultiAlternatives:
    tenant: Tenant = Tenant.objects.get(pk=require_tenant_id())
    address = reverse_under(f"/t/{tenant.slug}/", settings.WORKSPACE_URLCONF, "quality:trend", ())
    context = {
        "report": report,
        "worse": [drift_sentence(each) for each in report.drift],
        "workspace_name": plain(tenant.name),
        "versions": [version["label"] for version in report.prompt_versions.values()],
        "link": settings.PUBLIC_URL + address,
    }
    text, html = (render_to_string(f"chat/email/drift.{kind}", context) for kind in ("txt", "html"))
    message = EmailMultiAlternatives(
        f"Answers have become worse: {context['workspace_name']} on Corbel", text, None, to
    )
    message.attach_alternative(html, "text/html")
    return message
