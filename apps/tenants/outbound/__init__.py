"""Calls to addresses that a workspace named, and with its own keys: neither leads into our network or out of our hands.

guard     which addresses may be reached
client    the HTTP client that looks at each connection, and puts keys where they belong
"""

from .client import StandIn, guarded_client
from .guard import Refused, check_url

__all__ = ["Refused", "StandIn", "check_url", "guarded_client"]
