"""Numbers as Grafana's units write them, and the ticks of an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

SPANS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86_400.0, "d"))
SIZES = ((1.0, "B"), (1024.0, "KiB"), (1024.0**2, "MiB"), (1024.0**3, "GiB"))
COUNTS = ((1.0, ""), (1e3, "K"), (1e6, "M"))
MOMENTS = (5, 10, 15, 30, 60, 120, 300, 600)
STEPS = (1, 2, 2.5, 5, 10)


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """A number in its unit."""
    match unit:
        case "s":
            return _scaled(value, SPANS, " ", decimals)
        case "bytes":
            return _scaled(value, SIZES, " ", decimals)
        case "percentunit":
            return f"{_rounded(100 * value, decimals)}%"
        case "ops":
            return f"{_scaled(value, COUNTS, '', decimals)} ops/s"
        case _:
            return _scaled(value, COUNTS, "", decimals)


def ticks(top: float, count: int, unit: str = "") -> list[float]:
    """Round numbers from 0 up to at least `top`, about so many; round in KiB or MiB where bytes are meant."""
    if unit == "bytes":
        size = next(entry[0] for entry in reversed(SIZES) if top >= entry[0] or entry[0] == 1.0)
        return [mark * size for mark in ticks(top / size, count)]
    rough = top / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(found for found in (power * factor for factor in STEPS) if found >= rough * 0.999)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def moments(span: float, count: int) -> list[int]:
    """Marks of a time axis of so many seconds, about so many, as a clock has them."""
    step = next((found for found in MOMENTS if span / found <= count), MOMENTS[-1])
    return list(range(0, int(span), step))


def _scaled(value: float, scale: Sequence[tuple[float, str]], space: str, decimals: int | None) -> str:
    if value == 0:
        found = next((entry for entry in scale if entry[0] == 1.0), scale[0])
        return f"0{space if found[1] else ''}{found[1]}"
    size, name = next((entry for entry in reversed(scale) if abs(value) >= entry[0]), scale[0])
    return f"{_rounded(value / size, decimals)}{space if name else ''}{name}"


def _rounded(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
