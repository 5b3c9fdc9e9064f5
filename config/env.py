"""Readers of environment variables that fail loudly.

A bad value raises BadSetting, whose message names the variable, what is wrong with its value and what to
write instead. Values are never repeated for variables that hold secrets.
"""

import ipaddress
import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

REQUIRED = object()
BUILT_IN_PROVIDERS = ("openai", "anthropic", "offline", "local")
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class BadSetting(ImproperlyConfigured):
    def __init__(self, name: str, fault: str, mend: str) -> None:
        super().__init__(f"{name} {fault}. {mend}")
        self.name = name


def load(path: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Read KEY=value lines from `path` into `environ`; what is set already stays. A missing file is no fault."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise BadSetting(str(path), f"has no = in line {number}", "Write one NAME=value a line.")
        environ.setdefault(name.strip(), value.strip())


def text(name: str, default: object = REQUIRED, *, mend: str = "") -> str:
    value = os.environ.get(name, "")
    if value:
        return value
    if default is REQUIRED:
        raise BadSetting(name, "is not set", mend or f"Set {name} in the environment, or start with `make run`.")
    return str(default)


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").lower()
    if not value:
        return default
    if value in TRUE | FALSE:
        return value in TRUE
    raise BadSetting(name, f"is {value!r}, which is neither true nor false", "Write true or false.")


def integer(name: str, default: int, *, at_least: int = 0) -> int:
    value = os.environ.get(name, "")
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise BadSetting(name, f"is {value!r}, which is not a whole number", f"Write one, such as {default}.") from None
    if number < at_least:
        raise BadSetting(name, f"is {number}", f"Write a number of at least {at_least}.")
    return number


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list."""
    value = os.environ.get(name, "")
    return [word.strip() for word in value.split(",") if word.strip()] if value else list(default)


def hosts(name: str, default: tuple[str, ...]) -> list[str]:
    """A comma-separated list of host names, without ports; .example.com stands for all below example.com as well."""
    found = [host.lower() for host in words(name, default)]
    for host in found:
        if host == "*":
            raise BadSetting(name, "holds '*', which would answer to any name", "Write the names people type.")
        if any(mark in host for mark in "/*@ ") or (":" in host and not (host[0] == "[" and host[-1] == "]")):
            raise BadSetting(name, f"holds {host!r}, which is no host name", "Write app.example.com, without a port.")
    return found


def servers(name: str, port: int = 53) -> list[tuple[str, int]]:
    """A comma-separated list of address or address:port, as pairs; an IPv6 address with a port stands in brackets."""
    found = []
    for word in words(name):
        try:
            parts = urlsplit(f"//{word}" if word.count(":") < 2 or word.startswith("[") else f"//[{word}]")
            address = str(ipaddress.ip_address(parts.hostname or ""))
            found.append((address, parts.port or port))
        except ValueError:
            raise BadSetting(
                name, f"holds {word!r}, which is no address", f"Write 192.0.2.1 or 192.0.2.1:{port}."
            ) from None
    return found


def path(name: str, default: Path) -> Path:
    value = os.environ.get(name, "")
    return Path(value).expanduser().resolve() if value else default


def origins(name: str) -> list[str]:
    """A comma-separated list of scheme://host[:port]."""
    found = words(name)
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"}:
            raise BadSetting(name, f"holds {origin!r}, which is not an origin", "Write https://app.example.com.")
    return found


def database(name: str, default: object = REQUIRED) -> dict[str, Any]:
    """A Postgres URL as Django's connection settings, without ENGINE; empty if unset and `default` is None.

    Accepts postgres://user:password@host:port/name and, for a unix socket, ?host=/folder.
    """
    value = os.environ.get(name, "")
    mend = "Write postgres://user:password@host:5432/name."
    if not value:
        if default is REQUIRED:
            raise BadSetting(name, "is not set", mend + " Or start with `make run`, which brings a database.")
        return {}
    parts = urlsplit(value)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise BadSetting(name, "is not a Postgres URL", mend)
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", "") or unquote(parts.hostname or "")
    try:
        port = options.pop("port", "") or str(parts.port or "")
    except ValueError:
        raise BadSetting(name, "has a port that is not a number", mend) from None
    if not parts.path.strip("/"):
        raise BadSetting(name, "names no database", mend)
    return {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": options,
    }


def redis(name: str) -> str:
    value = text(name, mend="Write redis://host:6379/0. Or start with `make run`, which brings a server.")
    if urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
        raise BadSetting(name, "is not a Redis URL", "Write redis://host:6379/0 (or rediss://, or unix:///path).")
    return value


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = os.environ.get(name, "") or default
    if value not in allowed:
        raise BadSetting(name, f"is {value!r}", f"Write one of {', '.join(allowed)}.")
    return value


def url(name: str, default: str = "") -> str:
    """An http or https address, without the slash at its end; empty if unset without a default."""
    value = os.environ.get(name, "") or default
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.netloc):
        raise BadSetting(
            name, f"is {value!r}, which is not an address", "Write it in full, as https://app.example.com."
        )
    return value.rstrip("/")


def together(*names: str) -> list[str]:
    """The values of variables that are of no use without each other; all empty if none of them is set."""
    values = [os.environ.get(name, "") for name in names]
    if any(values) and not all(values):
        missing = names[values.index("")]
        given = next(name for name, value in zip(names, values, strict=True) if value)
        raise BadSetting(missing, f"is not set, and {given} is", f"Set {' and '.join(names)}, or neither.")
    return values


def providers(name: str) -> dict[str, dict[str, Any]]:
    """Model providers by name, as `name` lists them. Each has NAME_MODELS and may have NAME_KIND, NAME_API_KEY and
    NAME_BASE_URL."""
    found: dict[str, dict[str, Any]] = {}
    for provider in words(name):
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", provider) or provider in BUILT_IN_PROVIDERS:
            raise BadSetting(
                name,
                f"names the provider {provider!r}",
                f"Use lower-case letters, digits and _, and none of {', '.join(BUILT_IN_PROVIDERS)}.",
            )
        prefix = provider.upper()
        found[provider] = {
            "kind": choice(f"{prefix}_KIND", "openai", ("openai", "anthropic")),
            "api_key": text(f"{prefix}_API_KEY", ""),
            "base_url": url(f"{prefix}_BASE_URL"),
            "models": words(f"{prefix}_MODELS"),
        }
        if not found[provider]["models"]:
            raise BadSetting(f"{prefix}_MODELS", "is not set", f"Name the models of {provider}, with commas between.")
    return found
