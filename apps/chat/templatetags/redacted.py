"""`{{ text|redacted }}`: placeholders such as [e-mail] stand out, so that a reviewer sees what was taken out."""

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from ..quality.redact import PLACEHOLDER

register = template.Library()


@register.filter
def redacted(text: str) -> SafeString:
    escaped = conditional_escape(text)  # placeholders have no letter that this changes
    return mark_safe(PLACEHOLDER.sub(r'<mark class="redacted">\g<0></mark>', escaped))  # noqa: S308
