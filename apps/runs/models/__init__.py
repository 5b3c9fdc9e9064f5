"""What is kept of model calls, and what decides how they are made."""

from .batch import Batch, BatchResult, BatchRow, BatchStep
from .budget import Alert, Budget, Spend
from .cache import CachedAnswer
from .policy import Policy
from .price import ModelPrice, Processing
from .provider_batch import ProviderBatch, ProviderLine
from .route import ModelRoute
from .run import Run

__all__ = [
    "Alert",
    "Batch",
    "BatchResult",
    "BatchRow",
    "BatchStep",
    "Budget",
    "CachedAnswer",
    "ModelPrice",
    "ModelRoute",
    "Policy",
    "Processing",
    "ProviderBatch",
    "ProviderLine",
    "Run",
    "Spend",
]
