"""Real files, which are not in the repository: DATA_DIR=folder names the one that holds formats/."""

import os
import re
import unicodedata
from pathlib import Path

import pytest

from apps.knowledge.chunk import LARGE, TINY, chunk
from apps.knowledge.parse import Parsed, ParseError, parse, sniff

DATA = Path(os.environ.get("DATA_DIR") or "no-data-dir")
FORMATS = DATA / "formats"

pytestmark = pytest.mark.skipif(not FORMATS.is_dir(), reason="DATA_DIR names no folder with formats/ in it")


def read(name: str) -> Parsed:
    path = FORMATS / name
    return parse(path, sniff(path.read_bytes()[:8192], name))


READABLE = {
    "REPAIR-2022-INV-001_multipage.pdf": "This is a preliminary estimate for the visible damage of the vehicle.",
    "docx-tables.docx": "| Lorem ipsum | A link example |",
    "failure-after-repair.pdf": "A milk gland consists of:\n- lobules – where milk is produced\n- ducts – tubes",
    "fake-html-cp1252.html": "Die schöne Frau hat einen Kaffee mit Kuchen gegessen.",
    "fake-text-utf-16.txt": "This is a test document to use for unit tests.",
    "handbook-1p.docx": "The United States Trustee appoints and supervises standing trustees",
    "korean-text-with-tables.pdf": "무이자할부, 다이어트할부, 삼성카드 할인이 적용된 일시불 및 할부 이용금액",
    "layout-parser-paper-fast.pdf": "complicate the easy reuse of important innovations by a wide audience.",
    "multi-column.pdf": "by a simple dual-encoder framework. When evaluated on a wide range of open-domain QA datasets",
    "test.docx": "# AutoGen: Enabling Next-Gen LLM Applications via Multi-Agent Conversation",
    "test.pdf": "an intuitive approach to scale up the power of agents is to use multiple agents that cooperate.",
    "test_blog.html": "## Experiment Setup\n\nWe use AutoGen to select between the following models",
    "umlauts-non-utf8.md": "## können\n\nkönnen\n\näöüß",
}

REFUSED = {
    "MEDRPT-2024-PAT-3847_medical_report_scan.pdf": "scan",
    "password.pdf": "password",
    "password_protected.xlsx": "unsupported",
    "sample-presentation.pptx": "unsupported",
    "stanley-cups.xlsx": "unsupported",
    "test.pptx": "unsupported",
    "test.xlsx": "unsupported",
}


def test_every_file_is_expected_to_be_read_or_refused() -> None:
    assert {path.name for path in FORMATS.iterdir()} == READABLE.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READABLE)
def test_file_is_read(name: str) -> None:
    result = read(name)

    assert READABLE[name] in result.text
    assert unicodedata.is_normalized("NFC", result.text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\ufffd\ufffe]", result.text)
    assert result.page_starts == sorted(result.page_starts)
    for passage in chunk(result.text, title=result.title or name, page_starts=result.page_starts):
        assert result.text[passage.start : passage.end] == passage.text
        assert 0 < len(passage.text) <= LARGE + TINY


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_file_is_refused(name: str, code: str) -> None:
    with pytest.raises(ParseError) as caught:
        read(name)

    assert caught.value.code == code


def test_passages_of_a_book_know_their_page() -> None:
    result = read("failure-after-repair.pdf")

    assert result.title == "Understanding Breast Cancer"
    assert len(result.page_starts) == 76
    passages = chunk(result.text, title=result.title, page_starts=result.page_starts)
    path = "Key questions > Q: How common is breast cancer?"
    assert [passage.page for passage in passages if passage.heading.endswith(path)] == [11]


def test_handbook_is_read_in_full() -> None:
    pages = sorted((DATA / "handbook").glob("*.md"))
    if not pages:
        pytest.skip("DATA_DIR holds no handbook/")
    words = re.compile(r"\w{4,}")

    for page in pages[::20]:
        source = page.read_text()
        body = re.sub(r"<!--.*?-->", "", re.sub(r"\A---\n.*?\n---\n", "", source, flags=re.DOTALL), flags=re.DOTALL)
        try:
            text = parse(page, "md").text
        except ParseError as error:
            assert error.code == "no_text"
            text = ""
        assert words.findall(text) == words.findall(unicodedata.normalize("NFC", body))
