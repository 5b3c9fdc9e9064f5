"""Passages are whole, exact, and know where they are from. No database."""

import re

import pytest

from apps.knowledge.chunk import LARGE, SMALL, TINY, Passage, chunk, embedding_text


def words(count: int, word: str = "word") -> str:
    """A paragraph of sentences of ten words."""
    sentence = " ".join([word.capitalize(), *[word] * 9]) + "."
    return " ".join([sentence] * (count // 10))


def headings(passages: list[Passage]) -> list[str]:
    return [passage.heading for passage in passages]


DOCUMENT = f"""# Handbook

Short opening.

## Leave

{words(100)}

{words(30)}

{words(130, "other")}

### Sick leave

- call us
- see a doctor

## Contact

## Pay

| Year | Days |
| --- | --- |
| 2024 | 28 |

```
a = 1

# no heading
b = 2
```"""


def test_text_of_a_passage_is_what_its_offsets_say() -> None:
    passages = chunk(DOCUMENT, title="Rules")

    assert [DOCUMENT[passage.start : passage.end] for passage in passages] == [passage.text for passage in passages]
    assert all(passage.text == passage.text.strip() != "" for passage in passages)
    assert [passage.start for passage in passages] == sorted(passage.start for passage in passages)


def test_nothing_but_headings_is_left_out() -> None:
    left, last = [], 0
    for passage in chunk(DOCUMENT):
        left += DOCUMENT[last : passage.start].split("\n")
        last = passage.end
    left += DOCUMENT[last:].split("\n")

    assert [line for line in left if line] == ["# Handbook", "## Leave", "### Sick leave", "## Pay"]


def test_heading_is_the_path_to_the_passage() -> None:
    assert headings(chunk(DOCUMENT, title="Rules")) == [
        "Rules > Handbook",
        "Rules > Handbook > Leave",
        "Rules > Handbook > Leave",
        "Rules > Handbook > Leave > Sick leave",
        "Rules > Handbook > Contact",
        "Rules > Handbook > Pay",
    ]


def test_heading_that_repeats_the_title_stands_once() -> None:
    assert headings(chunk("# Leave\n\nThirty days.", title="Leave")) == ["Leave"]


def test_heading_with_nothing_under_it_is_a_passage() -> None:
    assert [passage.text for passage in chunk("## Closed on Mondays\n\n## Open else")] == [
        "## Closed on Mondays",
        "## Open else",
    ]


def test_neighbours_are_merged_to_a_fair_size() -> None:
    text = "\n\n".join([words(20)] * 40)

    lengths = [len(passage.text) for passage in chunk(text)]

    assert all(SMALL <= length <= LARGE for length in lengths[:-1])
    assert len(lengths) == 7


def test_short_rest_joins_the_passage_before() -> None:
    text = f"{words(150)}\n\nThe end."

    passages = chunk(text)

    assert [passage.text for passage in passages] == [text]
    assert len(passages[0].text) <= LARGE + TINY


def test_long_paragraph_is_cut_into_even_parts_at_sentence_ends() -> None:
    passages = chunk(words(500))

    assert len(passages) == 3
    assert all(passage.text.endswith(".") for passage in passages)
    assert max(len(passage.text) for passage in passages) - min(len(passage.text) for passage in passages) < 60


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith met J. R. Ewing of Acme Inc. at 5 p.m. for e.g. lunch, see Fig. 3 and pp. 4.",
        "The U.S. Department spent $1.5 million vs. 2.5 million before, cf. No. 7.",
    ],
)
def test_abbreviation_ends_no_sentence(sentence: str) -> None:
    text = " ".join([sentence] * 40)

    passages = chunk(text)

    assert len(passages) > 2
    assert {passage.text.split(" ")[0] for passage in passages} == {sentence.split(" ")[0]}


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5000,
        "no stop, " * 700,
        "すべての人間は生まれながらにして自由である。" * 200,
        "가나다라 " * 1000,
        "1.\n" * 2000,
    ],
)
def test_text_without_sentences_is_cut_all_the_same(text: str) -> None:
    passages = chunk(text)

    assert max(len(passage.text) for passage in passages) <= LARGE + TINY
    assert re.sub(r"\s", "", "".join(passage.text for passage in passages)) == re.sub(r"\s", "", text)


def test_table_is_cut_between_rows() -> None:
    rows = [f"| item {number} | about {number} euros and. Then some |" for number in range(60)]

    passages = chunk("\n".join(["| Item | Price |", "| --- | --- |", *rows]))

    assert len(passages) > 1
    assert all(passage.text.startswith("|") and passage.text.endswith("|") for passage in passages)


def test_code_stays_whole_and_its_comments_are_no_headings() -> None:
    code = "```python\n# a comment\n\nx = 1\n```"

    assert [passage.text for passage in chunk(f"# Set-up\n\n{code}")] == [code]


def test_what_introduces_a_list_stays_with_it() -> None:
    items = "\n".join(f"- {words(10)}" for _ in range(10))

    passages = chunk(f"{words(80)}\n\n{words(50)}\n\nBring these:\n\n{items}")

    assert passages[-1].text.startswith("Bring these:")


def test_page_is_where_the_passage_begins() -> None:
    text = f"{words(140)}\n\n{words(140)}\n\n{words(140)}"
    second, third = (match.end() for match in re.finditer("\n\n", text))

    passages = chunk(text, page_starts=[0, second - 20, third, third])

    assert [passage.page for passage in passages] == [1, 2, 4]
    assert chunk(text)[0].page is None


def test_empty_text_has_no_passages() -> None:
    assert chunk("") == []
    assert chunk("\n\n  \n") == []


def test_embedded_is_prose_under_its_heading() -> None:
    text = "See [the policy](https://example.com/a_(b)) and\nthe table:\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"

    assert embedding_text("Rules > Leave", text) == "Rules > Leave\nSee the policy and the table: a b 1 2"
    assert embedding_text("", "Hello.") == "Hello."
