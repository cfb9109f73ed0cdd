"""Tokens: printable, versioned, and refused with a reason when they are none."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from redurable.core.tokens import MAX_TOKEN, Token, read_token, write_token
from redurable.errors import InvalidToken

TOKEN = Token("orders", "order-42 ✓/\"'", "x1", 7, 2, "vip queue", "1700000000000-3", "host:1:ab", 1_700_000_000_000)


def test_a_token_names_its_attempt_in_a_printable_form() -> None:
    text = write_token(TOKEN)
    assert text.startswith("rd1.")
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert read_token(text) == TOKEN


def test_the_longest_names_fit() -> None:
    token = Token("h" * 63, "✓" * 85, "x" * 256, 2**62, 2**62, "q" * 256, "1" * 41, "w" * 300, 2**62)
    assert read_token(write_token(token)) == token


def _packed(text: str) -> str:
    return "rd1." + urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rd1",
        "rd1.",
        "rd2." + write_token(TOKEN)[4:],
        write_token(TOKEN)[:-3],
        "rd1.§§§",
        _packed("{}"),
        _packed('["orders"]'),
        _packed('["Orders!","one","x",1,1,"q","1-1"]'),
        _packed('["orders","","x",1,1,"q","1-1"]'),
        _packed('["orders","one","x",1,1,"\\n","1-1"]'),
        _packed('["orders","one","x","1",1,"q","1-1"]'),
        _packed('["orders","one","x",1e400,1,"q","1-1"]'),
        _packed('["orders","\\ud800","x",1,1,"q","1-1"]'),
        "rd1." + "A" * MAX_TOKEN,
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken, match=r"is no token of ActivityContext\.complete_later\(\): "):
        read_token(text)
