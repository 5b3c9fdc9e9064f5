"""The words that `terms` knows. English; a question in another language agrees with itself alone."""

import re

# Say nothing about the answer. Little does: "who is paid" and "who paid" are two questions, as are "who do I pay" and
# "who pays", "who pays me" and "who pays".
SILENT = frozenset("the my our".split())
QUESTION_WORDS = frozenset("who whose when where why how what which".split())

# One spelling for what means the same in a question.
SAME = {
    **dict.fromkeys(("am", "is", "are"), "is"),
    **dict.fromkeys(("was", "were"), "was"),
    **dict.fromkeys(("do", "does"), "do"),
    **dict.fromkeys(("have", "has"), "have"),
    **dict.fromkeys(("i", "we"), "we"),
    **dict.fromkeys(("me", "us"), "us"),
    "an": "a",
    **dict.fromkeys(("will", "shall"), "future"),
    **dict.fromkeys(("could", "may", "might"), "can"),
    **dict.fromkeys(("receive", "receives", "gets"), "get"),
    **dict.fromkeys(("$", "dollar", "dollars"), "usd"),
    **dict.fromkeys(("€", "euro", "euros"), "eur"),
    **dict.fromkeys(("£", "pound", "pounds"), "gbp"),
    "%": "percent",
    "which": "what",
    "whom": "who",
    "e-mail": "email",
    "e-mails": "email",
    "okay": "ok",
    "colour": "color",
    "licence": "license",
    "centre": "center",
    "programme": "program",
    "kilometre": "km",
    "kilometer": "km",
    "kilometres": "km",
    "kilometers": "km",
    "kilogram": "kg",
    "kilograms": "kg",
    "gram": "g",
    "grams": "g",
    "hrs": "hour",
    "mins": "minute",
}
# Behind a number and with no space: 5km, 10h.
UNITS = {name: name for name in "km kg g mb gb tb kb ms cm mm am pm m l".split()}
UNITS |= {"h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute", "s": "second", "k": "thousand"}

NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
}
TENS = {
    word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
ORDINALS = dict(
    zip(
        "first second third fourth fifth sixth seventh eighth ninth tenth".split(),
        "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th".split(),
        strict=True,
    )
)
PERIOD = "year|month|week|day|night|hour|quarter|minute|person"

# With an s another thing, or with one always.
NOT_PLURAL = frozenset("news customs goods arms means windows savings pass always perhaps plus less as this".split())
# With a capital somebody's or something's name.
NAMES_TOO = frozenset(
    "amazon apple bill chase china chrome dawn drive edge excel faith frank gap go grace hope it jack java joy july "
    "mark march meet meta office oracle outlook pat pin polish python rob rose ruby rust safari shell slack square "
    "stripe swift target team teams turkey visa window windows word zoom".split()
)

POLITENESS = re.compile(
    r"""
    ^(?:hi|hello|hey|good[ ](?:morning|afternoon|evening))(?:[ ](?:there|all|everyone))?[,!.]+
    |^please,?[ ]
    |^(?:do[ ]you[ ]know|may[ ]i[ ]ask|i[ ]want[ ]to[ ]know|i(?:'d|[ ]would)[ ]like[ ]to[ ]know
        |(?:(?:can|could|would|will)[ ]you[ ](?:please[ ]|kindly[ ])?)?(?:tell|show)[ ](?:me|us)
     ),?[ ](?=(?:who|whose|when|where|why|how|what|which)\b)
    |[\s,.!?]*[,.!?]\s*(?:please|(?:many[ ])?thanks(?:[ ]in[ ]advance)?|thank[ ]you|cheers)[\s.!?]*$
    """,
    re.VERBOSE | re.IGNORECASE,
)

DAYS = "day|week|weekend|month|quarter|year|monday|tuesday|wednesday|thursday|friday|saturday|sunday|spring|summer"
# Leans on what was said before, or on the day it is asked.
LEANS = re.compile(
    rf"""
    ^\W*(?:and|but|or|so|also|then|what[ ]about|how[ ]about|what[ ]else|really|tell[ ]me[ ]more)\b
    |^\W*(?:why|why[ ]not|how[ ]come|how[ ]so|how|when|where|who|which|what|yes|no|ok|more)\W*$
    |\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|these|those|such|same|former|latter)\b
    |\b(?:above|previous|previously|aforementioned|else|again|instead|earlier|you[ ]said|you[ ]mentioned)\b
    |\bthat\W*$|\bthat(?='s\b)|^(?:is|was|does|did|can|will|would|why|how)[ ](?:is[ ]|was[ ]|does[ ])?that\b
    |\b(?:about|of|for|with|like|do)[ ]that\b
    |\b(?:today|tonight|tomorrow|yesterday|now|nowadays|currently|ago|recently|lately|soon|so[ ]far)\b
    |\b(?:last|next|past|coming|current|upcoming)[ ](?:\w+[ ])?(?:{DAYS}|autumn|fall|winter)s?\b
    """,
    re.VERBOSE,
)
