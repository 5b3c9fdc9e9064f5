"""Suites, corpora and the baseline are read strictly: what is wrong is said with file, line and mend."""

import json
from pathlib import Path

import pytest

from evals import baseline, corpus, suite
from evals.__main__ import main
from evals.bad import Bad
from evals.baseline import Entry
from tests.conftest import ROOT

GOOD = """description: Answers
prompt: answer
floors: {{ correct: 0.9 }}
tests:
  - workspace: acme
    vars: {{ question: "How long?" }}
    assert:
      - {check}
"""


def good(check: str = "{ type: icontains, value: weeks }") -> str:
    return GOOD.format(check=check)


def fault(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(Bad) as raised:
        suite.read(path)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "is empty"),
        ("tests: [", 1, "is not YAML"),
        ("- a", 1, "the file is no mapping"),
        (good().replace('"How long?"', "&q [*q]"), 6, "question contains itself"),
        ("tests: []", 1, "the file lacks `description`"),
        (
            good().replace("prompt: answer", "shouts: true"),
            2,
            "the file has no 'shouts'. Known are: description, prompt",
        ),
        (good().replace("answer", "answers"), 2, "there is no prompt 'answers'. The catalog has: answer"),
        (good().replace("answer", "answer\nprovider: openai"), 3, "the provider is 'openai'. Write one of: offline"),
        (good().replace("correct", "speed"), 3, "there is no metric 'speed'"),
        (good().replace("correct", "cited"), 3, "no test of this suite measures 'cited'"),
        (good().replace("0.9", "9"), 3, "correct is 9. Write a number from 0 to 1"),
        (good().replace("acme", "umbrella"), 5, "there is no workspace 'umbrella'. There are: acme"),
        (good().replace("    vars", "    var"), 6, "entry 1 of tests has no 'var'"),
        (good() + good().partition("tests:\n")[2], 9, "a second test is named 'How long?'"),
        (good() + "tests: []\n", 9, "'tests' stands twice"),
        (good("{ type: sounds-nice }"), 8, "there is no assert 'sounds-nice'. There are: contains"),
        (good("{ type: icontains }"), 8, "icontains needs a value"),
        (good("{ type: icontains, value: 28 }"), 8, "value is no text"),
        (good("{ type: refuses, value: yes }"), 8, "refuses takes no value"),
        (good("{ type: icontains, value: a, threshold: 0.5 }"), 8, "icontains takes no threshold"),
        (good("{ type: similar, value: a, threshold: 75 }"), 8, "threshold is 75"),
        (good("{ type: regex, value: '(' }"), 8, "the pattern doesn't compile"),
        (good("{ type: schema, value: { type: thing } }"), 8, "there is no type 'thing'"),
        (good("{ type: schema, value: { oneOf: [] } }"), 8, "value has no 'oneOf'"),
        (good("{ type: python, value: 'os:remove' }"), 8, "there is no function 'os:remove'"),
        (good("{ type: python, value: 'suite:Path' }"), 8, "there is no function 'suite:Path'"),
        ("description: Search\nkind: retrieval\ncorpus: ../tests", 3, "there is no corpus '../tests'"),
        ("description: Search\nkind: sorting\ncorpus: a", 2, "the kind is 'sorting'"),
    ],
)
def test_a_bad_suite_is_told_with_file_line_and_mend(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = tmp_path / "bad.yaml"

    said = fault(path, text)

    assert said.startswith(f"{path}, line {line}: ") and says in said


def test_the_commands_say_it_in_one_line_write_it_for_the_pull_request_and_exit_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(good("{ type: sounds-nice }"))

    codes = [main(["run", str(path), "--report", str(tmp_path / "report")]), main(["run", "no-such-suite"])]
    codes += [main(["run", "answer", "--provider", "oracle"]), main(["touched", "--since=--output=file"])]

    assert codes == [2, 2, 2, 2]
    first, second, third, fourth = capsys.readouterr().err.strip().splitlines()
    assert first.startswith(f"{path}, line 8: there is no assert")
    assert "there is no suite 'no-such-suite'. There are: answer" in second
    assert third.startswith("--provider: there is no provider 'oracle'. There are: offline")
    assert "Name a revision that is here" in fourth
    assert "there is no assert" in (tmp_path / "report/report.md").read_text()


def write_corpus(folder: Path, **files: str) -> Path:
    named = {
        "corpus": '{"_id": "d1", "title": "Leave", "text": "28 days\\na year"}\n',
        "queries": '{"_id": "q1", "text": "How many days?", "answer": "28 days a year"}\n',
        "qrels": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
    } | files
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(named["corpus"])
    (folder / "queries.jsonl").write_text(named["queries"])
    (folder / "qrels/test.tsv").write_text(named["qrels"])
    return folder


def test_a_corpus_is_read_in_beirs_layout(tmp_path: Path) -> None:
    found = corpus.read_folder(write_corpus(tmp_path / "leave"))

    assert [(query.text, query.answer, {*query.relevant}) for query in found.queries] == [
        ("How many days?", "28 days a year", {"d1"})
    ]


HEAD = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    ("file", "text", "line", "says"),
    [
        ("corpus", "{", 1, "is not JSON"),
        ("corpus", '\n{"_id": "d1", "title": "a"}', 2, "has no text as 'text'"),
        ("corpus", '{"_id": "d", "title": "a", "text": "b"}\n' * 2, 2, "the id 'd' is that of line 1"),
        ("queries", '{"_id": "q1", "text": "a", "wants": 1}', 1, "has 'wants'"),
        ("queries", '{"_id": "q1", "text": "a"}\n{"_id": "q2", "text": "b"}', 2, "no document is right for 'q2'"),
        (
            "queries",
            '{"_id": "q1", "text": "a", "answer": "30 days"}',
            1,
            "no right document holds the answer '30 days'",
        ),
        ("qrels", "q1\td1\t1", 1, "Begin with query-id <tab>"),
        ("qrels", f"{HEAD}q1\td1", 2, "reads 'q1\\td1'"),
        ("qrels", f"{HEAD}q7\td1\t1", 2, "there is no query 'q7'"),
        ("qrels", f"{HEAD}q1\td7\t1", 2, "there is no document 'd7'"),
    ],
)
def test_a_bad_corpus_is_told_with_file_line_and_mend(
    tmp_path: Path, file: str, text: str, line: int, says: str
) -> None:
    folder = write_corpus(tmp_path / "bad", **{file: text})

    with pytest.raises(Bad) as raised:
        corpus.read_folder(folder)

    name = "qrels/test.tsv" if file == "qrels" else f"{file}.jsonl"
    said = str(raised.value)
    assert said.startswith(f"{folder / name}, line {line}: ") and says in said


def test_a_baseline_of_another_corpus_other_tests_or_nothing_is_refused_with_its_line(tmp_path: Path) -> None:
    answer = suite.read_all(["answer"])
    path = tmp_path / "baseline.json"
    tests = {test.key: {"correct": 1.0} for test in answer[0].tests}

    def refusal(entries: dict[str, Entry]) -> str:
        baseline.write(entries, path)
        with pytest.raises(Bad) as raised:
            baseline.require(baseline.read(path), answer, path=path)
        return str(raised.value)

    other = refusal({"answer": Entry(answer[0].provider, "0123", tests)})
    missing = refusal({"route": Entry("offline", "0123", tests)})
    by_another = refusal({"answer": Entry("openai", answer[0].checksum, tests)})

    assert other.startswith(f"{path}, line 4: ") and "is from other tests, or other documents" in other
    assert all(said.endswith("Write it anew: python -m evals baseline answer") for said in (other, missing, by_another))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1: is not JSON"),
        (json.dumps({"format": 2, "suites": {}}), "line 1: has the format 2"),
        ('{"format": 1,\n"suites": {"a": {"provider": "offline"}}}', "line 2: a lacks `checksum`"),
        (
            '{"format": 1, "suites": {"a": {"provider": "b", "checksum": "c", "tests": {\n"t": {"speed": 1}}}}}',
            "line 2: t has no 'speed'",
        ),
    ],
)
def test_a_bad_baseline_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)

    with pytest.raises(Bad) as raised:
        baseline.read(path)

    assert f"{path}, {says}" in str(raised.value)


def test_every_shipped_suite_reads_and_is_in_the_baseline_and_every_prompt_has_one() -> None:
    suites = suite.read_all()

    prompts = {path.stem for path in (ROOT / "apps/prompts/catalog").glob("*.md")}
    assert prompts - {each.prompt for each in suites} == set()
    baseline.require(baseline.read(), suites)
    baseline.require_no_strangers(baseline.read(), suites)
