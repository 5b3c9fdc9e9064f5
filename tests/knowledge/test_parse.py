"""Files of every kind become text or a sentence that says what to do, in a process that can be killed. No database."""

import codecs
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from apps.knowledge.formats.errors import REASONS
from apps.knowledge.parse import Limits, parse, read, sniff
from apps.tenants.uploads.sandbox import end

from .files import refusal


def test_every_reason_says_what_is_wrong_and_what_to_do() -> None:
    for message, action, _ in REASONS.values():
        assert message.endswith(".")
        assert action.endswith(".")
        assert len(message) < 150
        assert len(action) < 150


class TestSniff:
    @pytest.mark.parametrize(
        ("head", "filename", "kind"),
        [
            (b"%PDF-1.7\n", "report.pdf", "pdf"),
            (b"\n\n%PDF-1.4\n", "REPORT.PDF", "pdf"),
            (b"%PDF-1.7\n", "really-a-pdf.txt", "pdf"),
            (b"PK\x03\x04....", "letter.docx", "docx"),
            (b"<!doctype html><p>", "page.htm", "html"),
            (b"# Title", "notes.md", "md"),
            (b"# Title", "notes.markdown", "md"),
            (b"Files begin with %PDF- when they are PDFs.", "about.txt", "txt"),
            (b"hello", "README", "txt"),
            ("Grüße".encode("cp1252"), "old.txt", "txt"),
            (codecs.BOM_UTF16_LE + "hi".encode("utf-16-le"), "windows.txt", "txt"),
        ],
    )
    def test_kind_comes_from_content_and_name(self, head: bytes, filename: str, kind: str) -> None:
        assert sniff(head, filename) == kind

    @pytest.mark.parametrize(
        ("head", "filename", "code"),
        [
            (b"", "empty.txt", "empty"),
            (b"<html>not found</html>", "report.pdf", "not_a_pdf"),
            (b"%PDF-1.7", "report.xlsx", None),
            (b"hello", "letter.docx", "not_a_docx"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "letter.docx", "password"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1WordDocument", "letter.docx", "locked_or_old"),
            (b"PK\x03\x04", "slides.pptx", "unsupported"),
            (b"\x89PNG", "photo.png", "unsupported"),
            (b"MZ\x90", "setup.exe", "unsupported"),
            (b"{\\rtf1", "letter.txt", "unsupported"),
            (b"\x7fELF\x02\x01\x01\x00\x00", "notes.txt", "not_text"),
        ],
    )
    def test_what_it_is_not_is_told(self, head: bytes, filename: str, code: str | None) -> None:
        if code is None:
            assert sniff(head, filename) == "pdf"
        else:
            assert refusal(sniff, head, filename).code == code

    def test_presentations_are_told_what_to_become(self) -> None:
        error = refusal(sniff, b"PK\x03\x04", "slides.pptx")

        assert error.message == "PowerPoint presentations can't be read."
        assert error.action == "Save it as PDF, DOCX, HTML, Markdown or plain text and upload that."
        assert error.permanent


class TestProcess:
    def test_hanging_reader_is_killed_in_time(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        began = time.monotonic()

        error = refusal(read, tmp_path / "pipe", "txt", began + 1, Limits(wall_s=1))

        assert error.code == "too_slow"
        assert not error.permanent
        assert time.monotonic() - began < 5

    def test_reader_is_killed_with_all_it_started(self) -> None:
        process = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60"], start_new_session=True)
        time.sleep(0.2)

        end(process)

        assert process.returncode == -signal.SIGKILL
        time.sleep(0.2)
        assert living(process.pid) == []

    def test_processor_time_is_bounded(self, parsed) -> None:
        assert refusal(parsed, b"<p>word</p>" * 900_000, "long.html", limits=Limits(cpu_s=1)).code == "too_slow"

    def test_memory_is_bounded(self, parsed) -> None:
        assert refusal(parsed, b"<b>x</b>" * 1_500_000, "wide.html", limits=Limits(memory_mb=150)).code == "too_heavy"

    def test_text_is_bounded(self, parsed) -> None:
        error = refusal(parsed, b"word " * 300, "long.txt", limits=Limits(text_chars=1000))

        assert error.message == "This file holds more than 1,000 characters of text."

    def test_reader_inherits_no_secret(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_KEY", "hush")

        environment = read(Path("/proc/self/environ"), "txt", time.monotonic() + 30, Limits()).text

        assert "hush" not in environment

    def test_stored_file_that_is_gone_is_told(self, tmp_path: Path) -> None:
        assert refusal(parse, tmp_path / "gone.txt", "txt").code == "missing"


def living(group: int) -> list[str]:
    """Processes of a group that still run; a killed one that nobody has waited for is not among them."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,pid="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [pid for pgid, state, pid in rows if int(pgid) == group and not state.startswith("Z")]
