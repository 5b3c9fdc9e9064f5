from django.http import HttpRequest

from .chain import is_offline


def models(request: HttpRequest) -> dict[str, bool]:
    """`offline_mode`: no provider is configured, so answers are quotes; pages say so."""
    return {"offline_mode": is_offline()}
