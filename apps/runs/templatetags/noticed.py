"""`{% for noticed in run.flags|explained %}`: what the guard noticed, in words."""

from django import template

from ..noticed import explained

register = template.Library()
register.filter("explained", explained)
