"""What can be wrong with a file, and what the person who uploaded it should do.

ParseError is one class with a code, because callers only show it, store it or retry it.
"""

# code: (what is wrong, what to do, whether the same file fails again)
REASONS = {
    "empty": (
        "This file is empty.",
        "Check that it was saved, then upload it again.",
        True,
    ),
    "unsupported": (
        "{what} can't be read.",
        "Save it as PDF, DOCX, HTML, Markdown or plain text and upload that.",
        True,
    ),
    "not_a_pdf": (
        "This file is named .pdf, but it isn't a PDF.",
        "Open it in the program that made it, export it as PDF and upload that.",
        True,
    ),
    "not_a_docx": (
        "This file is named .docx, but it isn't a Word document.",
        "Open it in the program that made it, save it as .docx and upload that.",
        True,
    ),
    "not_text": (
        "This file is named {extension}, but it holds binary data instead of text.",
        "Check that it is the right file, or export it as PDF or plain text and upload that.",
        True,
    ),
    "password": (
        "This file is protected by a password.",
        "Open it with the password, save or print a copy without one and upload the copy.",
        True,
    ),
    "locked_or_old": (
        "This file is protected by a password, or it is an old .doc file under another name.",
        "Open it in Word, save it as .docx without a password and upload that.",
        True,
    ),
    "scan": (
        "No text found in this file: it looks like a scan, pictures of pages instead of text.",
        "Run text recognition (OCR) on it and upload the result.",
        True,
    ),
    "no_text": (
        "No text found in this file.",
        "Check that it is the right file; pictures and drawings can't be searched.",
        True,
    ),
    "damaged": (
        "This file is damaged and can't be read to its end.",
        "Open it, save it as a new file and upload that.",
        True,
    ),
    "too_much_text": (
        "This file holds more than {limit:,} characters of text.",
        "Split it into several files and upload those.",
        True,
    ),
    "bomb": (
        "This file unpacks to {limit} MB or more, which no ordinary document does.",
        "Remove large pictures or attachments, save it as a new file and upload that.",
        True,
    ),
    "too_deep": (
        "The elements of this page are nested more than {limit:,} deep.",
        "Print the page to PDF in a browser and upload that.",
        True,
    ),
    "too_heavy": (
        "Reading this file needs more memory than one document may use ({limit} MB).",
        "Split it into several files, or save it as a new file, and upload that.",
        True,
    ),
    "too_slow": (
        "Reading this file took longer than {limit} seconds.",
        "Try again; if that fails too, split it into several files and upload those.",
        False,
    ),
    "missing": (
        "The stored copy of this file is gone.",
        "Delete this entry and upload the file again.",
        False,
    ),
}


class ParseError(Exception):
    """A file that can't become text.

    `message` says what is wrong and `action` what to do, both for the person who uploaded it.
    `permanent` is False when the same file may work on another try. `values` fill the gaps in the prose.
    """

    def __init__(self, code: str, **values: object) -> None:
        message, action, self.permanent = REASONS[code]
        self.code = code
        self.values = values
        self.message = message.format(**values)
        self.action = action.format(**values)
        super().__init__(f"{self.message} {self.action}")
