"""The words by which the rehearsal model recognises its rules, in any order and with synonyms.

A wording that a prompt should be free to use and that isn't here is entered here.
"""

import re
from dataclasses import dataclass

from .rule import Rule


@dataclass(frozen=True, slots=True)
class Saying:
    """A sentence says this if it has something of each of `needs` and nothing of `lacks`."""

    needs: tuple[re.Pattern[str], ...]
    lacks: re.Pattern[str] | None

    def is_in(self, sentence: str) -> bool:
        return all(each.search(sentence) for each in self.needs) and not (self.lacks and self.lacks.search(sentence))


def says(*needs: str, lacks: str = "") -> Saying:
    """Each is of words or beginnings of words, parted by bars."""
    found = [re.compile(rf"(?<!\w)(?:{words})", re.IGNORECASE) for words in needs]
    return Saying(tuple(found), re.compile(rf"(?<!\w)(?:{lacks})", re.IGNORECASE) if lacks else None)


@dataclass(frozen=True, slots=True)
class Wording:
    """Any of `asking` asks for a rule, any of `against` takes it back, and counts where a sentence does both."""

    asking: tuple[Saying, ...]
    against: tuple[Saying, ...] = ()

    def asks(self, sentence: str) -> bool:
        return any(saying.is_in(sentence) for saying in self.asking)

    def takes_back(self, sentence: str) -> bool:
        return any(saying.is_in(sentence) for saying in self.against)


NOT = r"not?\b|never\b|don't|doesn't|isn't|aren't|can't|cannot|without|avoid|refrain|nothing|none|nor\b"
LACK = rf"{NOT}|lack|missing|absent|silent|insufficient|fails?\b|unable|unanswered"
SET_ASIDE = rf"{NOT}|ignor|disregard|whatever|regardless"
PASSAGES = r"passage|document|excerpt|extract|source|material|text|context|handbook|file"
SPEAK = r"says?\b|tell|admit|state\b|reply|respond|acknowledge|declin|make clear|make it clear|point out|answer that"
NAME = r"name|say|tell|state|list|mention|point out|specify"
ORDERS = r"instruct|command|order|directive|obey|speaks? for|requests? in\b"
INSIDE = (
    r"passage|document|excerpt|text|request|answer|inside|it says|they say|in them|in it\b|they are|material|message"
)
KNOWLEDGE = r"knowledge|memory|experience|what you (?:already )?know|expertise"
DETAIL = r"detail|length\b|lengthy|thorough|exhaustive|elaborat|comprehensiv|verbose|expansive|as long as|at least \d+ "
LISTS = r"tables?\b|lists?\b|bullets?\b"
DOUBT = r"doubt|unsure|uncertain|ties?\b|borderline|hesitat|between two|equal"
REFUSAL = r"saying|says|refus|admit|declin|stating|no answer"
STATEMENT = r"statement|claim|sentence|fact"


def denied(words: str, *, within: int = 3) -> str:
    """One of the words, with a "not" at most so many words before it."""
    return rf"(?:{NOT})\W+(?:\w+\W+){{0,{within}}}(?:{words})"


WORDINGS: dict[Rule, Wording] = {
    Rule.ONLY_PASSAGES: Wording(
        (
            says(
                r"only\b|solely|exclusively|nothing but|strictly|stick to|restrict|limit|confine|stay within|rely on",
                PASSAGES,
                r"use|answer|draw|base|say|state|stick|restrict|limit|confine|stay|rely|what",
                lacks=rf"(?:{LISTS}).*only",
            ),
            says(NOT, r"own\b|outside|general|prior|background|world", KNOWLEDGE),
            says(
                NOT,
                r"add|say|state|claim|anything",
                rf"(?:beyond|outside|not in|isn't in) (?:the |these )?(?:{PASSAGES})",
            ),
        ),
        (
            says(KNOWLEDGE, r"add|use|draw|bring|supplement|fill|complement|mix|rely|answer|free", lacks=NOT),
            says(denied(r"only|limited|restrict\w*|confined?|bound\b", within=4), PASSAGES),
            says(r"go beyond|beyond the|outside the", PASSAGES, lacks=NOT),
        ),
    ),
    Rule.CITE: Wording(
        (
            says(
                r"brackets?|\[\d\]|footnote|superscript",
                r"number|source|citation|reference|passage|mark|put",
                lacks=NOT,
            ),
            says(r"cite\b|citing|cited|citations?|references?", rf"{PASSAGES}|{STATEMENT}", lacks=NOT),
            says(r"(?:name|give|state|mark|number) .{0,40}(?:passage|source)", STATEMENT, lacks=NOT),
            says(rf"(?:no|never|not|don't)\b.{{0,40}}(?:{STATEMENT}).{{0,40}}(?:without|unless)", r"number|cit|source"),
        ),
        (
            says(
                r"brackets?|\[\d\]|citations?|cite\b|footnotes?|references?|passage numbers?",
                rf"{NOT}|leave out|omit|skip|drop|instead of",
                lacks=rf"(?:no|never|not|don't)\b.{{0,40}}(?:{STATEMENT}).{{0,40}}(?:without|unless)",
            ),
        ),
    ),
    Rule.ADMIT: Wording(
        (
            says(r"if\b|when|where|unless|should\b|in case|otherwise", LACK, SPEAK),
            says(denied(r"guess|speculat\w+|invent|make (?:\w+ )?up|fabricat\w+|assume")),
        ),
        (
            says(r"always (?:\w+ ){0,2}(?:answer|reply|respond|give)\b(?! (?:with|in|as|by)\b)"),
            says(r"answer anyway|in any case|no matter what"),
            says(r"guess|speculat|estimate", r"best|good|reasonable|make|give|take|may|educated|likely", lacks=NOT),
            says(
                denied(SPEAK + "|refuse"),
                r"know|missing|passage|found|refuse|declin|no answer",
                lacks=r"if\b|when|where",
            ),
        ),
    ),
    Rule.NAME_MISSING: Wording(
        (says(NAME, r"what", r"missing|lacking|not there|isn't there|absent|not covered"),),
        (says(denied(NAME, within=2), r"missing|lacking|absent"),),
    ),
    Rule.DATA: Wording(
        (
            says(SET_ASIDE, ORDERS, INSIDE),
            says(SET_ASIDE, INSIDE, r"chang|influenc|affect|sway|tells? you|may tell|decides? how|move you"),
            says(
                r"treat|regard|read|take|handle",
                rf"{PASSAGES}|request|them\b|it\b",
                r"as (?:\w+ )?(?:data|material|quot|evidence)",
            ),
        ),
        (
            says(
                r"follow|obey|carry out|do what|comply|act on",
                rf"{ORDERS}|whatever|asks?\b|told",
                INSIDE,
                lacks=rf"{NOT}|ignor",
            ),
            says(r"instructions?|orders?", INSIDE, r"count|binding|apply|take precedence|come first", lacks=NOT),
        ),
    ),
    Rule.BRIEF: Wording(
        (
            says(r"brief|concise|succinct|terse|short\b|compact|few words|to the point|sparing", lacks=rf"{NOT}|too"),
            says(
                r"(?:at most|no more than|not more than|up to|within|in) (?:\w+ )?(?:or \w+ )?(?:words|sentences|lines)"
            ),
            says(denied(r"ramble|padding|pad\b|go on|waffle|more than (?:is )?(?:asked|needed)")),
        ),
        (says(DETAIL, lacks=NOT), says(denied(r"brief|concise|short|succinct|terse"))),
    ),
    Rule.LANGUAGE: Wording(
        (says(r"language|tongue", r"question|asked|asks|reader|user|same|theirs"),),
        (says(r"always|only|must|whatever", r"in (?:English|German|French|Spanish)"),),
    ),
    Rule.FEW_LISTS: Wording(
        (
            says(LISTS, r"only|sparing|unless|where it|when it|if it|rare"),
            says(denied(LISTS)),
            says(r"prose|running text|plain sentences", lacks=NOT),
        ),
        (says(LISTS, r"always|every answer|each answer|as a|must|in the form", lacks=rf"{NOT}|only"),),
    ),
    Rule.CONFIDENTIAL: Wording(
        (
            says(r"confidential|secret|private", r"instruction|rule|prompt|this|these|line"),
            says(
                NOT,
                r"repeat|reveal|disclos|share|quote|give away|show",
                r"instruction|prompt|rules|this line|these lines",
            ),
        ),
        (
            says(denied(r"confidential|secret|private", within=1)),
            says(
                r"repeat|reveal|disclos|share|quote|show",
                r"instruction|prompt|rules",
                r"ask|may\b|free|gladly",
                lacks=NOT,
            ),
        ),
    ),
    Rule.CHEAPER: Wording(
        (says(DOUBT, r"cheap|lower|smaller|lesser|simpler|less expensive"),),
        (says(DOUBT, r"dear|strong|higher|larger|bigger|better|more expensive|safe"),),
    ),
    Rule.JSON: Wording(
        (says(r"json"),),
        (
            says(rf"{denied('json', within=2)}|instead of (?:\w+ )?json"),
            says(
                r"in (?:plain )?(?:prose|words|text|sentences)|in a sentence",
                r"reply|answer|respond|write|say",
                lacks=NOT,
            ),
        ),
    ),
    Rule.ALONE: Wording(
        (
            says(r"json|object", r"nothing else|only|alone|just|nothing but|no other"),
            says(denied(r"explanations?|explain|introduction|comments?|prose|words|text", within=2)),
        ),
        (says(r"expla|give (?:your|the) reason|justify|say why|describe (?:what|why)|comment on|introduc", lacks=NOT),),
    ),
    Rule.FENCED: Wording(
        (says(r"(?:code )?(?:fence|block)|```|backtick", lacks=NOT),),
        (says(r"(?:code )?(?:fence|block)|```|backtick", NOT),),
    ),
    Rule.WHOLE: Wording(
        (says(r"whole|complete|entire|full\b|all (?:of )?(?:the|its) fields", r"json|object|answer|it\b"),),
        (
            says(
                r"only|just", r"(?:changed|corrected|wrong|mended|missing|affected) (?:\w+ )?(?:field|part|line|value)"
            ),
            says(denied(r"whole|complete|entire|full\b", within=2)),
        ),
    ),
    Rule.ERRORS_LISTED: Wording(
        (says(r"wrong|error|problem|fault|mistake|invalid|complaint|defect|issues?\b", r".*:\s*$"),)
    ),
    Rule.SUPPORT: Wording(
        (
            says(
                r"every|each|all|any|what it says|it says", r"rest|support|back|ground|found|say|stand|prov", PASSAGES
            ),
            says(r"made up|invented|unsupported|hallucinat"),
        ),
        (says(r"ignore|regardless|needn't|no need|don't (?:check|look|compare)", r"passage|support|ground|check"),),
    ),
    Rule.COMPLETE: Wording(
        (
            says(r"all (?:that )?(?:was|is) asked|everything (?:that )?(?:was |is )?asked|every part|whole question"),
            says(r"complete|partly|partial|incomplete"),
        ),
        (says(r"needn't|need not|doesn't matter|no matter|regardless", r"complete|all|part"),),
    ),
    Rule.REFUSAL_IS_RIGHT: Wording(
        (says(REFUSAL, r"right|correct|fine|good|acceptable|deserves|counts as 1", LACK),),
        (says(REFUSAL, r"wrong|bad|always 0|never right|rates? 0"),),
    ),
    Rule.CHOOSE: Wording(
        (
            says(
                r"decide|choose|pick|select|classif|assign|route|say|determin|judge",
                r"which|one of|what|the",
                r"model|tier",
                r"request|question|message|it\b",
            ),
        ),
    ),
    Rule.RATE: Wording((says(r"judge|rate\b|score|grade|assess|evaluate", r"answer|reply|response|it is|how sure"),)),
    Rule.MEND: Wording((says(r"again|correct|fix|repair|mend|rewrite|redo", r"answer|json|object|reply"),)),
}
