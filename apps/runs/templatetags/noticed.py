"""`{% for noticed in run.flags|explained %}`: what the guard noticed. `{{ code|in_words }}`: "Budget spent"."""

from django import template

from ..noticed import explained

register = template.Library()
register.filter("explained", explained)


@register.filter
def in_words(code: str) -> str:
    return code.replace("_", " ").capitalize()
