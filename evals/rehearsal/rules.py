"""The rules that the rehearsal model knows, and the words by which it recognises them in a prompt.

followed(prompt) -> frozenset[Rule]       what the prompt asks for; of two sentences that disagree the later counts
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from apps.runs.gateway.providers.sentences import sentences, split


class Rule(Enum):
    """One thing that a prompt can ask for. Without it, the model does what the comment says."""

    ONLY_PASSAGES = auto()  # adds something that it knows by itself
    CITE = auto()  # says no numbers
    ADMIT = auto()  # answers with what comes nearest
    NAME_MISSING = auto()  # doesn't say what the passages lack
    DATA = auto()  # obeys what a passage, a request or an answer tells it
    BRIEF = auto()  # goes on
    LANGUAGE = auto()  # speaks English
    FEW_LISTS = auto()  # makes a list of everything
    CONFIDENTIAL = auto()  # tells its instructions to who asks for them
    CHEAPER = auto()  # takes the dearer of two tiers
    JSON = auto()  # answers in prose
    ALONE = auto()  # explains itself around the JSON
    FENCED = auto()  # (with it: puts the JSON in a code fence)
    WHOLE = auto()  # answers with the mended fields only
    ERRORS_LISTED = auto()  # doesn't know what the list of errors is
    SUPPORT = auto()  # rates without looking into the passages
    COMPLETE = auto()  # rates without looking whether all was answered
    REFUSAL_IS_RIGHT = auto()  # rates every refusal as a bad answer
    CHOOSE = auto()  # (the task: say which tier answers)
    RATE = auto()  # (the task: rate the answer above)
    MEND = auto()  # (the task: give the answer above in its right form)


@dataclass(frozen=True, slots=True)
class Saying:
    """A sentence says this if it has something of each of `needs` and nothing of `lacks`."""

    needs: tuple[re.Pattern[str], ...]
    lacks: re.Pattern[str] | None = None

    def is_in(self, sentence: str) -> bool:
        return all(each.search(sentence) for each in self.needs) and not (self.lacks and self.lacks.search(sentence))


def says(*needs: str, lacks: str = "") -> Saying:
    return Saying(tuple(map(pattern, needs)), pattern(lacks) if lacks else None)


def pattern(words: str) -> re.Pattern[str]:
    """Words and beginnings of words, parted by bars."""
    return re.compile(rf"(?<!\w)(?:{words})", re.IGNORECASE)


NOT = r"not?\b|never\b|don't|do not|doesn't|does not|isn't|aren't|can't|cannot|without|avoid|refrain|nothing|none|nor\b"
LACK = rf"{NOT}|lack|missing|absent|silent|insufficient|fails?\b|unable|unanswered"
PASSAGES = r"passage|document|excerpt|extract|source|material|text|context|handbook|file"
SPEAK = r"says?\b|tell|admit|state\b|reply|respond|acknowledge|declin|make clear|make it clear|point out|answer that"
ORDERS = r"instruct|command|order|directive|obey|speaks? for|requests? in\b"
INSIDE = (
    r"passage|document|excerpt|text|request|answer|inside|it says|they say|in them|in it\b|they are|material|message"
)
KNOWLEDGE = r"knowledge|memory|experience|what you know|what you already know|expertise"
DETAIL = r"detail|length\b|lengthy|thorough|exhaustive|elaborat|comprehensiv|verbose|expansive|as long as|at least \d+ "
LISTS = r"tables?\b|lists?\b|bullets?\b|bullet points?"

# What a sentence asks for, and what takes that back.
WORDS: dict[Rule, tuple[tuple[Saying, ...], tuple[Saying, ...]]] = {
    Rule.ONLY_PASSAGES: (
        (
            says(
                r"only\b|solely|exclusively|nothing but|strictly|stick to|restrict|limit|confine|stay within|rely on",
                PASSAGES,
                r"use|answer|draw|base|say|state|stick|restrict|limit|confine|stay|rely|what",
                lacks=r"(?:tables?|lists?)\b.*only",
            ),
            says(NOT, r"own\b|outside|general|prior|background|world", KNOWLEDGE),
            says(
                NOT,
                r"add|say|state|claim|anything",
                rf"(?:beyond|outside|that isn't in|not in) (?:the |these )?(?:{PASSAGES})",
            ),
        ),
        (
            says(KNOWLEDGE, r"add|use|draw|bring|supplement|fill|complement|mix|rely|answer|free", lacks=NOT),
            says(rf"(?:{NOT})\W+(?:\w+\W+){{0,4}}(?:only|limited|restrict\w*|confined?|bound)\b", PASSAGES),
            says(r"go beyond|beyond the|outside the", PASSAGES, lacks=NOT),
        ),
    ),
    Rule.CITE: (
        (
            says(
                r"brackets?|\[\d\]|footnote|superscript",
                r"number|source|citation|reference|passage|mark|put|add",
                lacks=NOT,
            ),
            says(
                r"cite\b|citing|cited|citations?|references?", PASSAGES + r"|statement|claim|sentence|fact", lacks=NOT
            ),
            says(
                r"(?:name|give|state|mark|number) (?:the|its|each|every)?.{0,30}(?:passage|source)",
                r"statement|claim|sentence|fact",
                lacks=NOT,
            ),
            says(
                r"(?:never|no|not|don't)\b.{0,40}(?:statement|claim|sentence).{0,40}(?:without|unless)",
                r"number|citation|source|reference",
            ),
        ),
        (
            says(
                r"brackets?|\[\d\]|citations?|cite\b|footnotes?|references?|passage numbers?",
                rf"{NOT}|leave out|omit|skip|drop|instead of",
            ),
        ),
    ),
    Rule.ADMIT: (
        (
            says(r"if\b|when|where|unless|should\b|in case|otherwise", LACK, SPEAK),
            says(rf"(?:{NOT})\W+(?:\w+\W+){{0,2}}(?:guess|speculat\w+|invent|make (?:\w+ )?up|fabricat\w+|assume)"),
        ),
        (
            says(
                r"always (?:\w+ ){0,2}(?:answer|reply|respond|give)|answer anyway|in any case|no matter what|at all costs"
            ),
            says(r"guess|speculat|estimate", r"best|good|reasonable|make|give|take|may|educated|likely", lacks=NOT),
            says(
                rf"(?:{NOT})\W+(?:\w+\W+){{0,3}}(?:say|admit|tell|state|refuse|decline|reply)\b",
                r"know|missing|answer|passage|found|refuse|decline|no answer",
            ),
        ),
    ),
    Rule.NAME_MISSING: (
        (
            says(
                r"name|say|tell|state|list|mention|point out|specify|which|what",
                r"missing|lacking|is not there|isn't there|absent|not covered",
            ),
        ),
        (
            says(
                r"name|say|tell|state|list|mention",
                r"missing|lacking|absent",
                rf"(?:{NOT})\W+(?:\w+\W+){{0,2}}(?:name|say|tell|state|list|mention)",
            ),
        ),
    ),
    Rule.DATA: (
        (
            says(NOT + r"|ignor|disregard|whatever|regardless", ORDERS, INSIDE),
            says(
                NOT + r"|ignor|disregard|whatever|regardless",
                INSIDE,
                r"chang|influenc|affect|sway|tells? you|may tell|decides? how|move you",
            ),
            says(
                r"treat|regard|read|take|handle",
                PASSAGES + r"|request|them\b|it\b",
                r"as (?:\w+ )?(?:data|material|quot|content|evidence)",
            ),
        ),
        (
            says(
                r"follow|obey|carry out|do what|comply|act on",
                ORDERS + r"|whatever|asks?\b|told",
                INSIDE,
                lacks=NOT + "|ignor|whatever they say",
            ),
            says(r"instructions?|orders?", INSIDE, r"count|binding|apply|take precedence|come first", lacks=NOT),
        ),
    ),
    Rule.BRIEF: (
        (
            says(
                r"brief|concise|succinct|terse|short\b|compact|few words|to the point|sparing",
                lacks=NOT + "|isn't enough|too",
            ),
            says(
                r"(?:at most|no more than|not more than|up to|within|in) (?:\w+ )?(?:or \w+ )?(?:words|sentences|lines)"
            ),
            says(NOT, r"ramble|padding|pad\b|go on|waffle|more than (?:is )?(?:asked|needed)"),
        ),
        (
            says(DETAIL, lacks=NOT),
            says(rf"(?:{NOT})\W+(?:\w+\W+){{0,3}}(?:brief|concise|short|succinct|terse)"),
        ),
    ),
    Rule.LANGUAGE: (
        (says(r"language|tongue", r"question|asked|asks|reader|user|same|theirs"),),
        (says(r"always|only|must|whatever", r"in (?:English|German|French|Spanish)|English"),),
    ),
    Rule.FEW_LISTS: (
        (
            says(LISTS, r"only|sparing|unless|where it|when it|if it|rare"),
            says(rf"(?:{NOT})\W+(?:\w+\W+){{0,3}}(?:{LISTS})"),
            says(r"prose|running text|plain sentences", lacks=NOT),
        ),
        (says(LISTS, r"always|every answer|each answer|as a|must|in the form", lacks=NOT + "|only"),),
    ),
    Rule.CONFIDENTIAL: (
        (
            says(
                r"confidential|secret|private",
                r"instruction|rule|prompt|this|these|line",
                lacks=r"not (?:confidential|secret|private)",
            ),
            says(
                NOT,
                r"repeat|reveal|disclos|share|quote|give away|show",
                r"instruction|prompt|rules|this line|these lines",
            ),
        ),
        (
            says(r"not (?:confidential|secret|private)"),
            says(
                r"repeat|reveal|disclos|share|quote|show",
                r"instruction|prompt|rules",
                r"ask|may\b|free|happy|gladly",
                lacks=NOT,
            ),
        ),
    ),
    Rule.CHEAPER: (
        (
            says(
                r"doubt|unsure|uncertain|tie\b|ties\b|borderline|hesitat|between two|equal",
                r"cheap|lower|smaller|lesser|simpler|less expensive",
            ),
        ),
        (
            says(
                r"doubt|unsure|uncertain|tie\b|ties\b|borderline|hesitat|between two|equal",
                r"dear|strong|higher|larger|bigger|better|expensive|safe",
            ),
        ),
    ),
    Rule.JSON: (
        (says(r"json", lacks=rf"(?:{NOT}|instead of)\W+(?:\w+\W+){{0,2}}json"),),
        (
            says(rf"(?:{NOT}|instead of)\W+(?:\w+\W+){{0,2}}json"),
            says(
                r"in (?:plain )?(?:prose|words|text|sentences)|in a sentence|plain (?:text|words)",
                r"reply|answer|respond|write|say",
                lacks=NOT,
            ),
        ),
    ),
    Rule.ALONE: (
        (
            says(r"json|object", r"nothing else|only|alone|just|nothing but|no other"),
            says(rf"(?:{NOT})\W+(?:\w+\W+){{0,2}}(?:explanations?|explain|introduction|comments?|prose|words|text)"),
        ),
        (
            says(
                r"explain|explanation|give (?:your|the) reason|justify|say why|describe (?:what|why)|comment on|introduc",
                lacks=NOT,
            ),
        ),
    ),
    Rule.FENCED: (
        (says(r"(?:code )?(?:fence|block)|```|backtick", lacks=NOT),),
        (says(r"(?:code )?(?:fence|block)|```|backtick", NOT),),
    ),
    Rule.WHOLE: (
        (
            says(
                r"whole|complete|entire|full\b|all (?:of )?(?:the|its) fields",
                r"json|object|answer|it\b",
                lacks=rf"(?:{NOT})\W+(?:the )?(?:whole|complete|entire|full)",
            ),
        ),
        (
            says(
                r"only|just", r"(?:changed|corrected|wrong|mended|missing|affected) (?:\w+ )?(?:field|part|line|value)"
            ),
        ),
    ),
    Rule.ERRORS_LISTED: (
        (says(r"wrong|error|problem|fault|mistake|invalid|complaint|defect|issues?\b", r".*:\s*$"),),
        (),
    ),
    Rule.SUPPORT: (
        (
            says(
                r"every|each|all|any|what it says|it says",
                r"rest|support|back|ground|found|say|stand|prov",
                r"passage|document|source|text",
            ),
            says(r"made up|invented|unsupported|hallucinat"),
        ),
        (says(r"ignore|regardless|needn't|no need|don't (?:check|look|compare)", r"passage|support|ground|check"),),
    ),
    Rule.COMPLETE: (
        (
            says(
                r"all (?:that )?(?:was|is) asked|complete|everything (?:that )?(?:was|is)? ?asked|every part|whole question|partly|partial|incomplete"
            ),
        ),
        (says(r"needn't|need not|doesn't matter|no matter|regardless", r"complete|all|part"),),
    ),
    Rule.REFUSAL_IS_RIGHT: (
        (
            says(
                r"saying|says|refus|admit|declin|stating|no answer",
                r"right|correct|fine|good|acceptable|deserves|counts as 1",
                LACK,
            ),
        ),
        (says(r"saying|says|refus|admit|declin|stating|no answer", r"wrong|bad|fail|always 0|never right|rates? 0"),),
    ),
    Rule.CHOOSE: (
        (
            says(
                r"decide|choose|pick|select|classif|assign|route|say|determin|judge",
                r"which|one of|what|the",
                r"model|tier",
                r"request|question|message|it\b",
            ),
        ),
        (),
    ),
    Rule.RATE: ((says(r"judge|rate\b|score|grade|assess|evaluate", r"answer|reply|response|it is|how sure"),), ()),
    Rule.MEND: (
        (says(r"again|correct|fix|repair|mend|rewrite|redo", r"answer|json|object|reply"),),
        (),
    ),
}


def followed(prompt: str) -> frozenset[Rule]:
    """The rules that the prompt's sentences ask for, read in their order."""
    rules: set[Rule] = set()
    for sentence in stated(prompt):
        for rule, (asking, taking_back) in WORDS.items():
            if any(saying.is_in(sentence) for saying in taking_back):
                rules.discard(rule)
            elif any(saying.is_in(sentence) for saying in asking):
                rules.add(rule)
    return frozenset(rules)


def stated(prompt: str) -> Iterator[str]:
    """The prompt's sentences, headings among them, with lines joined that were only wrapped."""
    straight = prompt.replace("’", "'")
    for piece in sentences(straight):
        yield from split(piece.text)
