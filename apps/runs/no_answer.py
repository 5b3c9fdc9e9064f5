"""Answers that say there is none."""

import re

SAYS_NOTHING = re.compile(
    r"\b(?:(?:can(?:no|')t|could(?:n't| not)|do(?:n't| not)|did(?:n't| not)|unable to) (?:find|answer|help|say|know|see"
    r"|locate|determine)|(?:do(?:es)?|did)(?:n't| not) (?:contain|mention|say|hold|include|cover|specify|provide|state)"
    r"|(?:nothing|no information|no passage|no mention|none of the passages|not (?:mentioned|stated|covered|specified))"
    r"|i(?:'m| am) (?:sorry|unable|not able))\b",
    re.IGNORECASE,
)
OPENING_CHARS = 200  # in which such an answer says so


def says_nothing(answer: str) -> bool:
    """Whether it begins by saying that there is no answer."""
    return bool(SAYS_NOTHING.search(answer[:OPENING_CHARS].replace("’", "'").strip()))
