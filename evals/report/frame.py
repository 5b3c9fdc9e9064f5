"""Pages that need nothing but themselves: style, fonts and pictures are in them. Nothing is loaded, no script runs."""

import base64
import re
from pathlib import Path
from typing import Any

from django.template import Context, Engine
from django.utils.safestring import SafeString, mark_safe

from ..bad import ROOT

PAGES = Path(__file__).parent / "pages"
TOKENS = ROOT / "static/src/styles/tokens.css"
ICONS = ROOT / "static/icons.svg"
FONTS = {
    "Marcellus": "@fontsource/marcellus/files/marcellus-latin-400-normal.woff2",
    "Instrument Sans Variable": "@fontsource-variable/instrument-sans/files/instrument-sans-latin-wght-normal.woff2",
    "Geist Mono Variable": "@fontsource-variable/geist-mono/files/geist-mono-latin-wght-normal.woff2",
}

MARK = re.compile(r'.*<symbol id="corbel"[^>]*>(.*?)</symbol>.*', re.DOTALL)

engine = Engine(dirs=[str(PAGES)])


def render(page: str, **context: Any) -> str:
    """`page` of pages/ with the product's colours and, where they are installed, its fonts. Needs no settings."""
    looks = {"style": style(), "mark": safe(MARK.sub(r"\1", ICONS.read_text()))}
    return engine.get_template(page).render(Context(context | looks, use_l10n=False, use_tz=False))


def style() -> SafeString:
    colours = TOKENS.read_text().partition("@theme")[0]
    return safe("\n".join([*fonts(), colours, (PAGES / "style.css").read_text()]))


def fonts() -> list[str]:
    found = {name: ROOT / "node_modules" / path for name, path in FONTS.items()}
    return [
        f'@font-face {{ font-family: "{name}"; font-weight: 400 700; font-display: swap; '
        f"src: url(data:font/woff2;base64,{base64.b64encode(path.read_bytes()).decode()}) format('woff2'); }}"
        for name, path in found.items()
        if path.is_file()
    ]


def safe(markup: str) -> SafeString:
    """Of markup that we made: what came from elsewhere in it is escaped."""
    return mark_safe(markup)  # noqa: S308
