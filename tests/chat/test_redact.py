"""What is taken out of a text before an admin keeps it, and what is left alone."""

import pytest

from apps.chat.quality.redact import redact

NAMES = ["Alice Archer", "Bob", "Ludwig van Beethoven", "J. Will"]

TAKEN = {
    "Write to alice.archer+hr@mail.acme.example.": "Write to [e-mail].",
    "From <bob@acme.example>; and o'neil@acme.co": "From <[e-mail]>; and [e-mail]",
    "Call +49 (0)30 1234-5678 or 0049 30 12345678.": "Call [phone] or [phone].",
    "Call 030 12345678, (030) 123 456 78, 07700 900123.": "Call [phone], [phone], [phone].",
    "Call (415) 555-0134 or 415.555.0134 now": "Call [phone] or [phone] now",
    "Appelez le 01.23.45.67.89 ou 01 23 45 67 89": "Appelez le [phone] ou [phone]",
    "Paid with 4111 1111 1111 1111 and 5500-0000-0000-0004.": "Paid with [card] and [card].",
    "To DE89 3704 0044 0532 0130 00 BY Friday": "To [IBAN] BY Friday",
    "gb33bukb20201555555555.": "[IBAN].",
    "From 203.0.113.7, port 22; 2001:db8::8a2e:370:7334.": "From [IP address], port 22; [IP address].",
    "Key sk-proj-abcdEFGH1234ijklMNOP5678 works": "Key [token] works",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "[token]",
    "AKIAIOSFODNN7EXAMPLE and xoxb-123456789012-abcdef": "[token] and [token]",
    "corbel_0123456789abcdef0123456789abcdef_" + "a" * 43: "[token]",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def": "[token]",
    "Authorization: Bearer abc.def-ghi_123456": "Authorization: Bearer [token]",
    "The password is hunter2hunter.": "The password is [token]",
    'api_key="a1b2c3d4e5"': 'api_key="[token]"',
    "Passwort: schwertfisch, pwd=sword-fish": "Passwort: [token], pwd=[token]",
    "authorization: Basic dXNlcjpwYXNz": "authorization: Basic [token]",
    "AWS gave us wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY.": "AWS gave us [token].",
    "postgres://corbel:pa55word@db/corbel": "postgres://corbel:[token]@db/corbel",
    "Hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.": "Hash [token].",
    "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nEnd": "[token]\nEnd",
    "Does Alice get Bob’s leave? alice archer said so.": "Does [name] get [name]’s leave? [name] said so.",
    "Alice\nArcher and Ms Archer, Beethoven’s boss": "[name] and Ms [name], [name]’s boss",
}

LEFT = (
    "We get 28 days of paid leave a year [1], and 1,200 dollars [2, 3].",
    "On 2026-11-21, 21.11.2026, 01.02.2024 08:30 and 3/4/2025 at 08:30:15.",
    "Hotels cost $140.00, cars $0.42 per kilometre, uptime is 99.95 %.",
    "Order 1234 5678 1234 5678 is no card.",  # its last digit doesn't check
    "Version 3.11.7, section 4.2, ISO 27001, room 0815.",
    "The password is required; a token is a piece of text.",
    "A bobsleigh, an archer and the van will do. Alicelike words stay.",
    "DE12 is a part number, and so is GB29NWBK.",
    "See /handbook/travel-and-expenses.md and test_feedback_is_redacted.",
    "https://example.com/a/very-long-address-in-small-letters-without-anything-secret",
)


@pytest.mark.parametrize("text", TAKEN, ids=range(len(TAKEN)))
def test_it_goes_and_only_it(text: str) -> None:
    assert redact(text, NAMES) == TAKEN[text]


@pytest.mark.parametrize("text", LEFT, ids=range(len(LEFT)))
def test_it_stays(text: str) -> None:
    assert redact(text, NAMES) == text


@pytest.mark.parametrize("text", TAKEN.values(), ids=range(len(TAKEN)))
def test_what_was_redacted_stays_as_it_is(text: str) -> None:
    assert redact(text, [*NAMES, "Token Phone"]) == text


def test_it_is_quick_with_what_was_written_to_make_it_slow() -> None:
    for part in (
        "0 ",
        "00",
        "a.",
        "a@",
        "1:",
        "A1",
        "aA1-",
        "aA1/",
        "aA1/=",
        "pwd ",
        "+1 (",
        "Bearer ",
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
    ):
        redact(part * 10_000, NAMES)  # seconds, if it went back over all of it again and again
