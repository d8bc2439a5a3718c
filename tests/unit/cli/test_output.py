"""Other people's text reaches the operator's terminal as text."""

from __future__ import annotations

import io
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from reclens.cli import main, output
from reclens.cli.jobs.watching import watch
from reclens.cli.output import clean, print_json, print_line, print_table, say
from reclens.contracts import Progress
from reclens.errors import InvalidInput
from reclens.platform.jobs.view import JobState, JobView, StageView
from reclens.platform.observability.logs import configure_logging

HOSTILE = {
    "clear the screen": "\x1b[2J\x1b[H",
    "hide what follows": "\x1b[8m",
    "set the window's title": "\x1b]0;root\x07",
    "fill the clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "a link": "\x1b]8;;http://evil\x1b\\\\text\x1b]8;;\x1b\\\\",
    "ask for an answer": "\x1b[6n\x05",
    "one byte for two": "\x9b2J",
    "overwrite the line": "real\rfake",
    "back over it": "no\x08\x08ok",
    "read backwards": "exe.\u202egpj",
    "isolate": "\u2066a\u2069",
    "another line": "a\u2028b\x0bc\x0cd\x85e",
    "delete": "\x7f\x00",
}
ALLOWED = "Amélie 天 👩\u200d👧 “x” 50% [red]bold[/red] \\n"


def obeyed(text: str) -> list[str]:
    turning = {0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)}
    ordered = {*range(32), *range(127, 160), *turning} - {ord("\n")}
    return [char for char in text if ord(char) in ordered]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_is_printed_is_obeyed(text: str, capsys: pytest.CaptureFixture[str]):
    print_line(f"title {text}")
    say(f"{text} went by")
    print_table(["name", text], [[text, 1], [SimpleNamespace(a=text), text]])
    print_json({"title": text, text: [text]})
    told = capsys.readouterr()
    assert obeyed(told.out + told.err) == []
    assert "title" in told.out
    assert "went by" in told.err


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_keeps_what_it_escapes(text: str, capsys: pytest.CaptureFixture[str]):
    print_json({"title": text})
    assert json.loads(capsys.readouterr().out) == {"title": text}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("live", [True, False])
def test_a_job_that_is_watched_is_no_danger(
    text: str, live: bool, capsys: pytest.CaptureFixture[str]
):
    part: dict[str, Any] = {"state": JobState.RUNNING, "progress": Progress(stage=text, unit=text)}
    stage = StageView(name=text, job_id="1", artifact="datasets/1", **part)
    watch([JobView(id="1", task=text, spec={}, stages=(stage,), **part)], live=live)
    # rich's own: a live table hides the cursor, and shows it again.
    told = capsys.readouterr().err.replace("\x1b[?25l", "").replace("\x1b[?25h", "")
    assert obeyed(told) == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_errors_are_text(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fails(*_arguments: object, **_named: object) -> None:
        raise InvalidInput(f"{text} is not there.", field=text, remedy=text)

    monkeypatch.setattr(main, "app", fails)
    assert main.run(["jobs"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert obeyed(told) == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_logs_are_text(text: str, monkeypatch: pytest.MonkeyPatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root = logging.getLogger()
    handlers, level, configured = list(root.handlers), root.level, structlog.get_config()
    try:
        configure_logging("test")
        logging.getLogger("theirs").warning("failed: %s", text)
        structlog.get_logger("ours").warning(text, **{text: text})
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.configure(**configured)
    assert len(written.getvalue().splitlines()) == 2
    assert obeyed(written.getvalue()) == []


def test_all_else_stays_as_it_is(capsys: pytest.CaptureFixture[str]):
    assert clean(ALLOWED) == ALLOWED
    print_line(f"{ALLOWED}\n{ALLOWED}")
    print_table(["title"], [[ALLOWED]])
    assert capsys.readouterr().out.count(ALLOWED) == 3


def test_a_cell_stays_in_its_row(capsys: pytest.CaptureFixture[str]):
    print_table(["rank", "title"], [[1, "real\n2  fake"]])
    assert "1      real 2  fake" in capsys.readouterr().out
    assert output.clean_cell("a\nb") == "a b"
