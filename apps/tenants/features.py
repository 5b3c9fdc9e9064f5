"""What a plan may include and a workspace may be without: asked by the feature's name, never by the plan's.

The names that a workspace has stand in its own row, `Tenant.features`; None is all of them. Billing writes it.
"""

from .models import Tenant

FEATURES = {
    "custom_domains": "Host names of your own",
    "own_keys": "Calls through your own account with a provider",
    "silo": "A database schema of your own",
}


class NotIncluded(Exception):
    """The workspace's plan doesn't include it; the message is a sentence for whoever tried."""

    def __init__(self, feature: str) -> None:
        super().__init__(
            f"{FEATURES[feature]}: your plan doesn’t include that. An owner can choose another in Settings, Plan."
        )
        self.feature = feature


def has(tenant: Tenant, feature: str) -> bool:
    return tenant.features is None or feature in tenant.features


def require(tenant: Tenant, feature: str) -> None:
    """Raises NotIncluded."""
    if not has(tenant, feature):
        raise NotIncluded(feature)
