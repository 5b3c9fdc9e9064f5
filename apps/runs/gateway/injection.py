"""Signs that a text tries to give a model other orders than ours. Telemetry, see guard.py.

A sign is a few kinds of words that follow one another within a few words: "forget 5 earlier 4 orders" is a word for
forgetting, within five words one for what came earlier, within four more one for orders. English, German, French,
Spanish, Italian and Dutch words are known, in plain letters; spelling tricks are undone first. What is worded without
them, in other languages or as an ordinary request, isn't seen.
"""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

SURE = 1.0  # signs weigh less where harmless texts show them too; two such, or one sure one, are enough

VOCABULARY = {  # a star stands for any ending
    "forget": "ignor* disregard* forget forgetting forgot overlook* override* bypass* discard drop abandon vergiss"
    " vergessen missacht* ubergeh* verwerf* oublie* oubliez olvid* dimentic* scorda* negeer vergeet",
    "earlier": "previous* prior preceding above before beforehand earlier foregoing former initial original"
    " vorherig* vorig* vorangegangen* vorangehend* vorhergehend* bisherig* obig* davor zuvor precedent* anterieur*"
    " anterior* previas previos precedenti eerdere vorige dessus arriba",
    "orders": "instruction* prompt* orders commands rules guidelines directives directions assignments tasks"
    " programming training restrictions constraints context conversation information anweisung* instruktion* befehl*"
    " auftrage aufgaben regeln vorgaben angaben informationen consignes instruccion* ordenes reglas istruzion*"
    " instructies regles indications indicaciones",
    "all": "all everything any anything alles alle allem tout tous toutes todo todas todos tutto tutte tutti",
    "the": "your the this these those my our deine deinen ihre ihren tes vos tus sus la las los les die alle",
    "thine": "your deine deinen tes vos tus",
    "you": "you u youre du sie tu vous usted",
    "now": "now henceforth jetzt nun maintenant ahora adesso",
    "new": "new another further different neue neuen weitere weiteren andere nouvelle* nouveau* nueva* nuevo* nuov*",
    "task": "task tasks instruction* assignment* aufgabe* anweisung* auftrag* tache* tarea* instruccion* compit*",
    "focus": "focus concentrate listen konzentrier* concentre* concentr*",
    "say": "say write print output answer respond reply tell repeat schreib* sage gib ecris dis escribe di scrivi",
    "reveal": "show print reveal output repeat display tell copy give dump write say translate return spell type"
    " summarize expose leak what list read zeig* wiederhol* nenn* verrat* montre* affiche* repete* muestra* revela*"
    " imprime* mostra*",
    "prompt": "prompt prompts systemprompt metaprompt preprompt",
    "instructions": "instructions directives guidelines anweisungen instruktionen consignes instrucciones",
    "own": "system initial original full complete entire whole hidden secret internal developer confidential above"
    " gesamten ganzen kompletten vollstandigen",
    "written": "written stated said words text sentences lines anything",
    "source": "document documents documentation article articles passage passages sources dokumente* artikel",
    "knowledge": "knowledge opinion imagination wissen meinung",
    "act": "act pretend roleplay impersonate simulate imagine emulate behave agiere* fungier* benimm agis actua* finge*"
    " simula* imagina*",
    "as": "as like als comme como",
    "be": "are be become will bist sei sind seien es eres sei",
    "from": "from ab von",
    "mode": "mode modus",
    "special": "developer dev debug dan god admin root sudo jailbreak unrestricted unfiltered opposite",
    "do": "do",
    "ai": "chatgpt gpt ai llm bot chatbot openai ki ia bard claude gemini copilot",
    "character": "character",
    "stay": "stay stays break breaking breaks",
    "lawless": "amoral* immoral* unethical illegal* unfiltered uncensored unrestricted jailbr* evil racist nsfw malware"
    " explicit offensive harmful vulgar violent sexual unrestrained lawless taboo profan* swear* bose*",
    "bound": "limits limitations restriction* constraint* bound* filter* censor* ethic* moral* disclaimer* warning*"
    " refus* guideline* policies policy rules laws legality morality",
    "never": "never no without not dont cannot doesnt isnt free beyond kein* nie niemals sans sin nunca",
    "change": "add include insert modify alter augment enhance integrate append embed incorporate replace convert"
    " substitute use misspell scramble rearrange anagram jumble remove group combine tease provide suggest begin end"
    " introduce render fuge ajoute anade",
    "reply": "response reply answer antwort reponse respuesta risposta",
    "of": "in to of into within with as for",
    "send": "send post forward upload transmit email fetch submit call visit exfiltrate append sende envoie envia",
    "secret": "conversation history password* secret* token* credential* transcript prompt canary apikey",
    "remote": "http https url webhook endpoint server link attacker",
    "conceal": "tell mention inform reveal disclose alert notify",
    "person": "user users human reader anyone anybody nutzer* benutzer* utilisateur usuario",
}

SIGNS = """
    override   1.0  forget 5 earlier 4 orders
    override   1.0  forget 3 all 4 orders
    override   1.0  forget 3 all 4 earlier
    override   1.0  forget 3 orders 4 earlier
    override   1.0  forget 2 the 2 orders 4 say
    override   1.0  forget 2 all 5 say
    override   1.0  forget 2 earlier 3 say
    override   0.7  forget 2 all
    override   0.7  forget 2 earlier
    override   0.7  forget 2 thine 2 orders
    orders     1.0  now 4 new 1 task
    orders     1.0  focus 3 the 2 new 1 task
    prompt     1.0  reveal 6 own 3 prompt
    prompt     1.0  reveal 4 thine 2 prompt
    prompt     0.8  reveal 3 all 3 prompt
    prompt     0.7  reveal 4 thine 1 instructions
    prompt     0.7  reveal 3 written 3 earlier
    remote     1.0  send 8 secret 8 remote
    remote     0.7  send 6 remote 8 secret
    conceal    0.7  never 1 conceal 3 person
    persona !  0.6  act 1 as
    persona !  0.6  act 2 be
    persona !  0.7  you 1 be 1 now
    persona !  0.7  now 1 you 1 be
    persona !  0.7  now 1 be 1 you
    persona !  0.6  stay 2 character
    persona !  0.5  from 1 now 2 you
    mode !     0.7  special 1 mode
    mode !     1.0  do 1 all 1 now
    source !   0.7  forget 2 source
    source !   1.0  knowledge 3 never 5 source
    source !   1.0  never 6 source 8 knowledge
    ai !       0.4  ai
    lawless !  0.4  lawless
    lawless2 ! 0.5  lawless 20 lawless 20 lawless
    bound !    0.4  never 3 bound
    reply ?    1.0  change 8 of 1 thine 1 reply
    reply ?    1.0  of 1 thine 1 reply 6 change
    reply ?    1.0  change 2 thine 1 reply
"""  # ! only in questions, ? only in passages: elsewhere the words are an everyday request, or an everyday text


class Sign(NamedTuple):
    name: str
    weight: float
    kinds: tuple[str, ...]
    within: tuple[int, ...]


class Step(NamedTuple):
    """One kind of one sign: to be found `within` so many words after the step before it."""

    sign: int
    position: int
    within: int
    is_last: bool


def read_signs(where: str) -> tuple[list[Sign], dict[str, list[Step]]]:
    """The signs that count in a question ("!") or a passage ("?"), and the steps that each kind of word may be."""
    signs: list[Sign] = []
    steps: defaultdict[str, list[Step]] = defaultdict(list)
    for line in SIGNS.strip().splitlines():
        name, *rest = line.split()
        only = rest.pop(0) if rest[0] in "!?" else where
        if only != where:
            continue
        kinds, within = tuple(rest[1::2]), (0, *map(int, rest[2::2]))
        for position, kind in reversed(list(enumerate(kinds))):  # so that one word is not two steps
            steps[kind].append(Step(len(signs), position, within[position], position == len(kinds) - 1))
        signs.append(Sign(name, float(rest[0]), kinds, within))
    return signs, steps


EXACT: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
STEMS: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
for _kind, _words in VOCABULARY.items():
    for _word in _words.split():
        _table = STEMS if _word.endswith("*") else EXACT
        _table[_word.rstrip("*")] |= {_kind}
STEM_LENGTHS = sorted({len(stem) for stem in STEMS})
IN_QUESTIONS, IN_PASSAGES = read_signs("!"), read_signs("?")

WORD = re.compile(r"\w+")
APOSTROPHES = re.compile("['’\u0300-\u036f]+")  # and accents that are characters of their own
TO_SPACES = {code: " " for code in range(128) if not chr(code).isalnum()}
LONGEST_WORD = 40
LONGEST_TOKEN = 250  # an address, say
SPELT = re.compile(r"(?<!\w)(?:\w[ .\-_*]){3,40}\w(?!\w)")  # i g n o r e
LOOKALIKES = str.maketrans("аеорсухіјѕԁɡ013457@$", "aeopcyxijsdgoieastas")
MARKUP = re.compile(r"<\|[\w-]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|</?system>", re.IGNORECASE)
HEADING = re.compile(
    r"^[#*\[ ]{0,8}(?:system|developer)(?: prompt| message| override| instructions?)?[\]*#]{0,4}:"
    r"|^#{1,6} ?(?:system|new) (?:prompt|message|instructions?)\b",
    re.IGNORECASE | re.MULTILINE,
)


@lru_cache(maxsize=16_384)
def kinds_of(word: str) -> tuple[str, ...]:
    """The kinds a word belongs to, in whatever disguise: wide or accented letters, look-alikes, digits for letters."""
    word = word.casefold()
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)).casefold()
    if not (word.isascii() and word.isalpha()):
        word = word.translate(LOOKALIKES)
    kinds = EXACT.get(word, frozenset())
    for length in STEM_LENGTHS:
        if length <= len(word):
            kinds |= STEMS.get(word[:length], frozenset())
    if word.endswith("gpt"):
        kinds |= {"ai"}
    return tuple(kinds)


@lru_cache(maxsize=16_384)
def kinds_in(token: str) -> frozenset[str]:
    return frozenset(kind for word in words_of(token) for kind in kinds_of(word))


def kinds_anywhere(text: str) -> set[str]:
    """Every kind of word that the text may have: most lack one for each sign, and need no closer look."""
    tokens = text.split()
    if has_spelt(tokens) or max(map(len, tokens), default=0) > LONGEST_TOKEN:  # what is long isn't kept in memory
        return set(VOCABULARY)
    return set().union(*map(kinds_in, set(tokens)))


def words_of(text: str) -> list[str]:
    words = split(text)
    if has_spelt(words):
        words = split(SPELT.sub(lambda match: "".join(split(match[0])), text))
    return [word for word in words if len(word) <= LONGEST_WORD]


def has_spelt(words: list[str]) -> bool:
    """Whether four single letters stand in a row."""
    letters = [index for index, word in enumerate(words) if len(word) == 1]
    return any(fourth - first == 3 for first, fourth in zip(letters, letters[3:], strict=False))


def split(text: str) -> list[str]:
    if text.isascii():
        return text.replace("'", "").translate(TO_SPACES).split()
    return WORD.findall(APOSTROPHES.sub("", text))


def has_markup(text: str) -> bool:
    """Whether it has the marks with which models are told who speaks, or poses as a message of the system."""
    if ("<" in text or "[" in text) and MARKUP.search(text):
        return True
    return HEADING.search(text) is not None


@dataclass(frozen=True, slots=True)
class Signs:
    """What was found, by name, and how much it weighs together."""

    names: tuple[str, ...]
    weight: float

    @property
    def are_enough(self) -> bool:
        return self.weight >= SURE


def signs_in(text: str, *, is_passage: bool = False) -> Signs:
    """The signs of injection in a question, or in a passage of somebody's document."""
    signs, steps = IN_PASSAGES if is_passage else IN_QUESTIONS
    found: dict[str, float] = {}
    present = kinds_anywhere(text)
    possible = {index for index, sign in enumerate(signs) if present.issuperset(sign.kinds)}
    seen_at: dict[tuple[int, int], int] = {}  # where each step was last taken
    for index, word in enumerate(words_of(text) if possible else ()):
        for kind in kinds_of(word):
            for sign, position, within, is_last in steps[kind]:
                if sign not in possible:
                    continue
                if position:
                    before = seen_at.get((sign, position - 1))
                    if before is None or not 0 < index - before <= within:
                        continue
                seen_at[sign, position] = index
                if is_last:
                    name, weight = signs[sign].name, signs[sign].weight
                    found[name] = max(found.get(name, 0), weight)
    if has_markup(text):
        found["markup"] = SURE
    return Signs(tuple(sorted(found)), sum(found.values()))
