from django import template

from ..sessions import device

register = template.Library()
register.filter("device", device)
