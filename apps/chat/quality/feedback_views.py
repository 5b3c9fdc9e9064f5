"""What was thought of answers, for owners and admins to read."""

from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from ..models import Citation, EvalCase, Feedback
from .page import show

PAGE = 20
FILTERS = {
    "": ("All", Q()),
    "down": ("Bad", Q(rating=Feedback.Rating.DOWN)),
    "up": ("Good", Q(rating=Feedback.Rating.UP)),
    "commented": ("With a comment", ~Q(comment="")),
}


@require_GET
@needs(Permission.CHANGE_SETTINGS)
def feedback_list(request: WorkspaceRequest) -> HttpResponse:
    """?show=down, up or commented: those alone."""
    shown = request.GET.get("show", "")
    shown = shown if shown in FILTERS else ""
    page = Paginator(to_read().filter(FILTERS[shown][1]), PAGE).get_page(request.GET.get("page"))
    tabs = [{"value": value, "label": label, "is_shown": value == shown} for value, (label, _) in FILTERS.items()]
    context = {"given": page.object_list, "page_obj": page, "tabs": tabs, "shown": shown}
    return show(request, "feedback.html", context)


def to_read() -> QuerySet[Feedback]:
    """The newest first, with all that is shown beside them."""
    citations = Citation.objects.select_related("document").defer("document__text", "document__page_starts")
    related = ("message__in_reply_to", "message__conversation__user", "run__prompt_version__prompt", "run__api_key")
    return (
        Feedback.objects.select_related(*related)
        .prefetch_related(Prefetch("message__citations", queryset=citations.order_by("number")))
        .annotate(has_case=Exists(EvalCase.objects.filter(message=OuterRef("message"))))
        .order_by("-updated_at")
    )
