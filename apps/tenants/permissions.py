"""What a role may do."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse

from .http import WorkspaceRequest

View = Callable[..., HttpResponse]


def editors_only(view: View) -> View:
    """For views that change what the workspace knows: viewers get 403."""

    @wraps(view)
    def guarded(request: WorkspaceRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.membership.may_edit:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded
