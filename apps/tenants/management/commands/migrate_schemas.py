from .migrate import Command

__all__ = ["Command"]
