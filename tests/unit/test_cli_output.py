"""What commands print, and how a history reads."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from msgspec import Raw
from msgspec.structs import replace

from redurable.cli.history import full_records, rows
from redurable.cli.output import Output, Record, print_record, print_records, print_value, table
from redurable.cli.terminal import show_fields, show_table
from redurable.core.events import ActivityCompleted, ActivityScheduled, Event, ExecutionStarted, TimerFired
from redurable.core.rows import history_rows
from redurable.core.values import Arguments, Attempt, Ending, Failure, Timeouts

RECORD: Record = {
    "instance_id": "order-42",
    "status": "Running",
    "input": Raw(b'{"big":12345678901234567890}'),
    "tags": {},
}
HISTORY: list[Event] = [
    ExecutionStarted(at=1_700_000_000_000, name="process_order", execution="x1", call=Arguments(input=Raw(b"[1]"))),
    ActivityScheduled(at=1_700_000_000_001, seq=1, name="charge", commit="c1"),
    ActivityCompleted(at=1_700_000_001_500, seq=1, result=Raw(b'{"ok":true}'), attempts=3),
    TimerFired(at=1_700_000_002_000, seq=2, commit="c2"),
]


def test_a_record_as_a_table_shows_what_has_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    print_record(RECORD, Output.TABLE)
    assert capsys.readouterr().out.splitlines() == [
        "instance_id  order-42",
        "status       Running",
        'input        {"big":12345678901234567890}',
    ]


def test_json_keeps_payloads_as_they_are_stored(capsys: pytest.CaptureFixture[str]) -> None:
    print_record(RECORD, Output.JSON)
    pretty = capsys.readouterr().out
    print_record(RECORD, Output.JSONL)
    line = capsys.readouterr().out

    assert json.loads(pretty) == json.loads(line)
    assert json.loads(line)["input"] == {"big": 12345678901234567890}
    assert pretty.count("\n") > 1
    assert line.count("\n") == 1


def test_records_are_an_array_or_a_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    records = full_records(HISTORY)
    print_records(records, Output.JSON)
    array = json.loads(capsys.readouterr().out)
    print_records(records, Output.JSONL)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert array == lines
    assert [event["type"] for event in lines] == [type(event).__name__ for event in HISTORY]
    assert lines[2]["result"] == {"ok": True}
    assert lines[3]["commit"] == "c2"


def test_a_table_is_aligned_and_cut_to_a_width() -> None:
    records = [{"name": "a", "details": "x" * 500}, {"name": "longer", "details": "two\nlines"}]

    assert table(records) == ["name    details", "a       " + "x" * 500, "longer  two lines"]
    assert table(records, 20) == ["name    details", "a       " + "x" * 11 + "…", "longer  two lines"]
    assert table([]) == ["(none)"]


def test_a_history_reads_as_numbered_rows_without_what_only_the_runtime_needs() -> None:
    shown = rows(HISTORY)

    assert [row["event"] for row in shown] == [
        "ExecutionStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "TimerFired",
    ]
    assert shown[0]["time"] == "22:13:20.000"
    assert shown[0]["details"] == "name=process_order input=[1]"
    assert shown[2] == {
        "#": "2",
        "time": "22:13:21.500",
        "event": "ActivityCompleted",
        "seq": "1",
        "details": 'result={"ok":true} attempts=3',
    }
    assert "commit" not in "".join(map(str, shown))


@pytest.mark.parametrize("given", ["0", "false", '""', "null", "[]", "{}"])
def test_a_history_tells_an_input_that_is_nothing_from_none(given: str) -> None:
    event = ExecutionStarted(at=1, name="count", execution="x1", call=Arguments(input=Raw(given.encode())))
    (told,) = rows([event])
    assert told["details"] == "name=count input=" + given.strip('"')
    (told,) = rows([replace(event, call=Arguments())])
    assert told["details"] == "name=count"


@pytest.mark.parametrize("number", ["1e400", "9" * 5_000, "-" + "9" * 400, "0.5", "1e300", "12345678901234567890123"])
def test_a_history_shows_numbers_that_python_cannot_hold_as_they_were_written(number: str) -> None:
    given = Arguments(input=Raw(f'{{"n":[{number}]}}'.encode()))
    (shown,) = rows([ExecutionStarted(at=1, name="count", execution="x1", call=given)])
    told = str(shown["details"]).removeprefix("name=count input=")
    assert told.replace("1e+300", "1e300") == f'{{"n":[{number}]}}'


def test_attempts_have_rows_of_their_own_and_no_numbers() -> None:
    log = (Attempt(1, Ending.FAILED, "host-7", 1_700_000_000_100, 1_700_000_000_200, Failure("CardDeclined", "no")),)
    timeouts = Timeouts(heartbeat=250)
    history = history_rows(
        [
            ActivityScheduled(at=1_700_000_000_000, seq=1, name="charge", timeouts=timeouts),
            ActivityCompleted(at=1_700_000_001_000, seq=1, attempts=2, worker="host-8", started=1, log=log),
        ]
    )
    assert [(row["#"], row["event"], row["details"]) for row in rows(history)] == [
        ("0", "ActivityScheduled", "name=charge heartbeat=250"),
        ("", "ActivityStarted", "attempt=1 worker=host-7"),
        ("", "ActivityAttemptFailed", "attempt=1 error=CardDeclined message=no"),
        ("", "ActivityStarted", "attempt=2 worker=host-8"),
        ("1", "ActivityCompleted", "attempts=2"),
    ]
    kinds = [bytes(record["type"]) for record in full_records(history) if isinstance(record["type"], Raw)]
    assert kinds[1] == b'"ActivityStarted"'


@pytest.mark.parametrize(("output", "text"), [(Output.JSONL, '{"a":1}\n'), (Output.TABLE, '{\n  "a": 1\n}\n')])
def test_a_bare_value(output: Output, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_value({"a": 1}, output)
    assert capsys.readouterr().out == text


def test_nothing_of_what_is_printed_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_record({"error": "bad\x1b[2J\nnews\x07"}, Output.TABLE)
    assert capsys.readouterr().out == "error  bad\\x1b[2J news\\x07\n"
    print_record({"  \x1b[31mname": "of a field"}, Output.TABLE)
    assert capsys.readouterr().out == "  \\x1b[31mname  of a field\n"


@pytest.mark.parametrize("output", Output)
def test_json_says_what_it_is_given_and_steers_no_terminal(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"é🎉": "one\u2028line \x9b31m \u202eback\x7f", "raw": "\x9b"}
    print_value(value, output)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert "é🎉" in printed
    assert all(char.isprintable() or char == "\n" for char in printed)
    print_record({"custom_status": value}, output)
    assert all(char.isprintable() or char == "\n" for char in capsys.readouterr().out)


def test_tables_at_a_terminal_fit_it_and_hold_text_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    moment = "2026-03-01T10:20:30.123+00:00"
    show_table(["id", "at", "what"], [["[bold]x", moment, "long " * 40]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "at", "what"]
    assert lines[1].startswith("[bold]x  2026-03-01 10:20:30Z  long long")
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()).count("long") == 40
    show_fields({"name": "[red]", "created_at": moment})
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["name", "[red]".ljust(20)],
        ["created_at", "2026-03-01 10:20:30Z"],
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100])
def test_a_narrow_terminal_hides_nothing(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    moment = "2026-03-01T10:20:30.123+00:00"
    names = ["instance_id", "name", "runtime_status", "created_at", "last_updated_at", "notes"]
    instance = "0123456789abcdef0123456789abcdef"
    show_table(names, [[instance, "process_order", "Terminated", moment, moment, "tenant=acme"]])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    for text in (*names, instance, "process_order", "Terminated", "tenant=acme"):
        assert not Counter(text) - Counter(printed), text
    assert printed.count("10:20:30Z") == 2
    if width < 80:
        assert "".join(line.split()[-1] for line in printed.splitlines() if line).count(instance) == 1
    else:
        assert "".join(line.split()[0] for line in printed.splitlines()).count(instance) == 1
    show_fields({"the name of a field " * 4: "value", "x": "long " * 20})
    printed = capsys.readouterr().out
    assert "value" in printed
    assert printed.count("long") == 20
