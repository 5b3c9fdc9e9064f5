"""What the value of an assert may be: readers that take it from a suite, and raise Bad at its line."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import shapes
from .nodes import Node
from .produced import Produced

if TYPE_CHECKING:
    from .suite import Test

FUNCTION = re.compile(r"([a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)*):([a-z_][a-z0-9_]*)")


def text(node: Node) -> str:
    return node.text()


def number(node: Node) -> float:
    return node.number()


def anything(node: Node) -> Any:
    return node.value()


def pattern(node: Node) -> str:
    try:
        re.compile(node.text())
    except re.error as error:
        raise node.bad(f"the pattern doesn't compile ({error})", "Write a Python regular expression.") from error
    return node.text()


def schema(node: Node) -> Any:
    shapes.require(node)
    return node.value()


def function(node: Node) -> str:
    """`module:function` of this package, which must be there."""
    called(node.text(), node)
    return node.text()


def called(name: str, node: Node | None = None) -> Callable[[Produced, "Test"], float]:
    match = FUNCTION.fullmatch(name)
    try:
        module = import_module(f"evals.{match[1]}") if match else None
    except ImportError:
        module = None
    found = getattr(module, match[2], None) if match else None
    if not callable(found) or getattr(found, "__module__", "") != getattr(module, "__name__", None):
        assert node is not None
        raise node.bad(f"there is no function {name!r}", "Write module:function, of a module inside evals/.")
    return found  # type: ignore[no-any-return]
