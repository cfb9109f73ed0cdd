"""The files speak of redurable, not of the place or the machine where somebody worked on it."""

from __future__ import annotations

import re

from tests.architecture.checkout import files, name

# Put together here, so that this file does not contain them.
WORDS = (
    "shared" + "/design",
    "shared" + "/research",
    "/" + "work/",
    "/" + "root/",
    r"/home/(?!redurable|nonroot)\w",
    "/" + "Users/",
    "/tmp/" + "brief",
    r"\b[Hh]elper " + r"[A-Z]\b",
)
PATTERN = re.compile("|".join(WORDS))
BINARY = {".ico", ".png", ".rdb", ".whl"}


def test_no_file_names_a_workplace() -> None:
    found = {name(path): PATTERN.findall(path.read_text()) for path in files() if path.suffix not in BINARY}
    assert {file: words for file, words in found.items() if words} == {}
