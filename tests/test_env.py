"""A bad setting says which, what is wrong with it, and what to write."""

from pathlib import Path

import pytest

from config import env


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> object:
    return lambda value: monkeypatch.setenv("IT", value)


def test_values_are_read(variable: object) -> None:
    variable("yes")
    assert env.flag("IT", False) is True
    variable("7")
    assert env.integer("IT", 1) == 7
    variable(" a , b ,")
    assert env.words("IT") == ["a", "b"]
    variable("https://app.example.com")
    assert env.origins("IT") == ["https://app.example.com"]
    variable("postgres://me:p%40ss@db.example:6432/corbel?sslmode=require")
    assert env.database("IT") == {
        "NAME": "corbel",
        "USER": "me",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "6432",
        "OPTIONS": {"sslmode": "require"},
    }
    variable("https://app.example.com/")
    assert env.url("IT") == "https://app.example.com"
    variable("postgresql://me:x@/corbel?host=%2Frun%2Fpg&port=5433")
    assert (env.database("IT")["HOST"], env.database("IT")["PORT"]) == ("/run/pg", "5433")


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (
            lambda: env.flag("IT", False),
            "maybe",
            "IT is 'maybe', which is neither true nor false. Write true or false.",
        ),
        (lambda: env.integer("IT", 8), "many", "IT is 'many', which is not a whole number. Write one, such as 8."),
        (lambda: env.integer("IT", 8, at_least=2), "1", "IT is 1. Write a number of at least 2."),
        (lambda: env.origins("IT"), "app.example.com", "Write https://app.example.com."),
        (lambda: env.database("IT"), "mysql://secret@x/y", "IT is not a Postgres URL. Write postgres://"),
        (lambda: env.database("IT"), "postgres://me:secret@x/", "IT names no database."),
        (lambda: env.database("IT"), "postgres://me:secret@x:many/y", "IT has a port that is not a number."),
        (lambda: env.choice("IT", "a", ("a", "b")), "c", "IT is 'c'. Write one of a, b."),
        (lambda: env.url("IT"), "app.example.com", "IT is 'app.example.com', which is not an address."),
        (lambda: env.redis("IT"), "memcached://secret", "IT is not a Redis URL. Write redis://"),
        (lambda: env.text("IT"), "", "IT is not set. Set IT in the environment, or start with `make run`."),
        (lambda: env.database("IT"), "", "IT is not set. Write postgres://"),
    ],
)
def test_bad_values_say_what_to_write(variable: object, read: object, value: str, says: str) -> None:
    variable(value)

    with pytest.raises(env.BadSetting) as raised:
        read()

    assert says in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_fills_in_what_the_environment_lacks(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# made by make run\nA=1\nB=two words\n\n")
    environ = {"A": "mine"}

    env.load(file, environ)

    assert environ == {"A": "mine", "B": "two words"}
    env.load(tmp_path / "absent", environ)
    file.write_text("nonsense\n")
    with pytest.raises(env.BadSetting, match="no = in line 1"):
        env.load(file, environ)
