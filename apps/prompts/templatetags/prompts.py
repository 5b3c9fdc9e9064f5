import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..models import PromptVersion

register = template.Library()

NAMED = re.compile(r"((?<!\{)\{[a-z][a-z0-9_]*\}(?!\}))")


@register.filter
def with_variables(body: str) -> SafeString:
    """The body as HTML, each variable marked as one."""
    return format_html_join(
        "",
        "{}",
        (
            (format_html('<mark class="variable">{}</mark>', part) if NAMED.fullmatch(part) else part,)
            for part in NAMED.split(body)
        ),
    )


@register.filter
def whose(version: PromptVersion) -> str:
    """ "Version 3" of the workspace's own, "Default 2" of everybody's."""
    return f"Version {version.number}" if version.tenant_id else f"Default {version.number}"
