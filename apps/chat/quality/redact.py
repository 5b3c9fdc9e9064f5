"""Personal data and secrets in a text, replaced by placeholders such as [e-mail].

By form, not by meaning: a person's name is known only if the workspace has such a member, and "the woman from Leeds"
is nothing to it. So a person reviews what comes out. It errs on the side of taking too much.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

KINDS = ("token", "e-mail", "IBAN", "card", "IP address", "phone", "name")
PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(KINDS)})\]")

Finds = Callable[[str], str | None]
"""Given what a pattern matched: the part of it that is to go, from the beginning; None to leave it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, or the group `secret` of it, becomes [`kind`] if `finds` says so."""

    kind: str
    pattern: re.Pattern[str]
    finds: Finds = lambda found: found


def redact(text: str, names: Iterable[str] = ()) -> str:
    """The text with placeholders; what is one already stays. `names` are people's, "Alice Archer" or "Alice"."""
    for rule in (*RULES, *name_rules(names)):
        text = rule.pattern.sub(lambda found, rule=rule: replaced(rule, found), text)  # type: ignore[misc]
    return text


def replaced(rule: Rule, found: re.Match[str]) -> str:
    group = "secret" if "secret" in rule.pattern.groupindex else 0
    goes = rule.finds(found[group])
    if not goes:
        return found[0]
    start = found.start(group) - found.start()
    return f"{found[0][:start]}[{rule.kind}]{found[0][start + len(goes) :]}"


# --- What a match must pass


def iban(found: str) -> str | None:
    """The longest beginning that is one: behind it another word may stand that looks like its last part."""
    for end in range(len(found), 14, -1):
        part = found[:end]
        plain = re.sub(r"[ -]", "", part).upper()
        moved = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
        if part[-1].isalnum() and len(plain) >= 15 and int(moved) % 97 == 1:
            return part
    return None


def card(found: str) -> str | None:
    digits = [int(digit) for digit in found if digit.isdigit()]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[-2::-2]]
    return found if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and any(digits) else None


def ip_address(found: str) -> str | None:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return None
    return found


DATE = re.compile(r"(?:\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./-])\d{1,2}\2\d{1,2})(?![./-]?\d)")


def phone(found: str) -> str | None:
    digits = sum(letter.isdigit() for letter in found)
    return found if 8 <= digits <= 15 and not DATE.match(found) else None


# --- In this order: an address holds names, a key may hold digits that look like a phone's

PREFIXED = (
    r"(?:sk|pk|rk)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9_-]{16,}",
    r"corbel_[\w-]{20,}",
    r"gh[pousr]_\w{20,}",
    r"github_pat_\w{20,}",
    r"glpat-[\w-]{16,}",
    r"xox[a-z]-[\w-]{10,}",
    r"A(?:KIA|SIA)[0-9A-Z]{16}",
    r"AIza[\w-]{30,}",
    r"eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?",
)
# Long, of capitals, small letters and digits alike, or all of it hexadecimal.
MIXED = r"(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{28,}={0,2}|[0-9a-fA-F]{32,}"
# Base64 has signs that paths have, too: only with as many as the shortest key of that kind.
BASE64 = r"(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*\d)[\w+/]{40,}={0,2}"
NAMED = r"(?i:passwor[dt]|kennwort|passwd|pwd|passphrase|passcode|secret|token|(?:api|account|access)[ _-]?key)"
OPENS = r"\s*[\"'“]?"

RULES = (
    Rule("token", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S)),
    Rule("token", re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]*:(?P<secret>[^\s/@]+)@")),
    Rule("token", re.compile(rf"(?<![\w-])(?:{'|'.join(PREFIXED)})(?![\w-])")),
    Rule("token", re.compile(r"\bBearer\s+(?P<secret>[\w.~+/=-]{12,})")),
    Rule("token", re.compile(r"\bAuthorization:\s*Basic\s+(?P<secret>\S+)", re.IGNORECASE)),
    Rule("token", re.compile(rf"{NAMED}\s*[:=]{OPENS}(?P<secret>[^\s\"'”,;&]{{6,}})")),
    Rule("token", re.compile(rf"{NAMED}\s+(?:is|ist){OPENS}(?P<secret>(?=\S*\d)[^\s\"'”,;]{{6,}})")),
    Rule("token", re.compile(rf"(?<![\w+/-])(?:{BASE64})(?![\w+/-])")),
    Rule("token", re.compile(rf"(?<![\w-])(?:{MIXED})(?![\w-])")),
    Rule("e-mail", re.compile(r"(?<![\w.+%-])[\w+%][\w.+%'-]{0,80}@[\w-]+(?:\.[\w-]+)+")),
    Rule("IBAN", re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?!\w)"), iban),
    Rule("card", re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w])"), card),
    Rule("IP address", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)"), ip_address),
    Rule("IP address", re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,45}(?<!:)(?![\w:])"), ip_address),
    Rule("phone", re.compile(r"(?<![\w+])(?:\+|00)\d(?:[ ().\u2011/-]{0,2}\d){6,14}(?!\w)"), phone),
    Rule("phone", re.compile(r"(?<![\w.,$€£])\(?0\d{1,4}\)?(?:[ /.-]{0,2}\d){5,11}(?!\w)"), phone),
    Rule("phone", re.compile(r"(?<![\w.,$€£])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"), phone),
)


def name_rules(names: Iterable[str]) -> Iterator[Rule]:
    """Whole names in any case; single ones as they are written, for many are words as well."""
    whole = {" ".join(name.split()) for name in names} - {""}
    several = sorted((name for name in whole if " " in name), key=len, reverse=True)
    single = sorted({part for name in whole for part in name.split() if is_name(part)}, key=len, reverse=True)
    if several:
        yield Rule("name", re.compile(rf"(?<!\w)(?:{alternatives(several)})(?!\w)", re.IGNORECASE))
    if single:
        yield Rule("name", re.compile(rf"(?<![\w\[])(?:{alternatives(single)})(?![\w\]])"))


def is_name(part: str) -> bool:
    """Not "van", nor the initial in "J. Smith"."""
    return len(part.strip(".")) > 1 and part[0].isupper()


def alternatives(names: list[str]) -> str:
    return "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in names)
