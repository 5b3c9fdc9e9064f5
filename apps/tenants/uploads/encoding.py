"""The encoding of a text file that doesn't say which it is."""

import codecs

# Longest first: the UTF-32 little-endian mark begins with the UTF-16 one.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Below this many bytes above ASCII a statistical guess is a coin toss and Windows' Western page the likeliest.
ENOUGH_TO_GUESS = 32


def decode(data: bytes, *, declared: str | None = None) -> str:
    """Text of `data` by its byte order mark, as UTF-8, by the encoding it declares, or else by the likeliest one.

    Never fails: bytes that fit no encoding become replacement characters.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    for likely in ("utf-8", unmarked_utf16(data), declared):
        if likely:
            try:
                return data.decode(likely)
            except (UnicodeDecodeError, LookupError):
                continue
    if sum(byte > 127 for byte in data) >= ENOUGH_TO_GUESS:
        from charset_normalizer import from_bytes  # slow to import, and few files need it

        guesses = from_bytes(data)
        # A tie between Western and Central European goes to the one that most files are in.
        if guesses and not any("cp1252" in guess.could_be_from_charset for guess in guesses):
            return str(guesses.best())
    return data.decode("cp1252", "replace")


def unmarked_utf16(data: bytes) -> str | None:
    """Western text in UTF-16 has a zero in every other byte, even when it has no byte order mark."""
    sample = data[:4096]
    if len(sample) < 4 or sample.count(0) < len(sample) * 0.3:
        return None
    return "utf-16-le" if sample[1::2].count(0) > sample[0::2].count(0) else "utf-16-be"


def is_binary(data: bytes) -> bool:
    """Whether these first bytes of a file can't be text in any encoding we read."""
    if any(data.startswith(mark) for mark, _ in BYTE_ORDER_MARKS) or unmarked_utf16(data):
        return False
    return b"\0" in data
