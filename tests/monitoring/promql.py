"""Queries of dashboards and rules, as they are asked, and as trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import promql_parser as promql
from msgspec import Struct

RANGES = {"$__rate_interval": "1m", "$__range": "1h"}
EVERYTHING = ".*"


class Selected(Struct, frozen=True):
    """A metric in a query. `inside` are the functions and aggregations around it, the outermost first."""

    metric: str
    labels: Mapping[str, str]
    """The labels that are asked for, and their patterns."""
    inside: tuple[str, ...]


def substituted(expr: str, **choices: str) -> str:
    """The query that Grafana sends when all is chosen, but for `choices`; `rate_interval` and `range` are spans."""
    spans = {name: choices.pop(name.strip("$_"), span) for name, span in RANGES.items()}
    for name, span in spans.items():
        expr = expr.replace(name, span)
    for name in ("hub", "type", "activity", "queue", "instance"):
        expr = expr.replace(f"${name}", choices.get(name, EVERYTHING))
    return expr


def selected(expr: str) -> list[Selected]:
    """Every metric of a query.

    Raises:
        ValueError: it is no PromQL.
    """
    return list(_walk(promql.parse(expr), ()))


def _walk(node: promql.Expr, inside: tuple[str, ...]) -> Iterator[Selected]:
    match node:
        case promql.VectorSelector():
            yield _selected(node, inside)
        case promql.MatrixSelector():
            yield _selected(node.vector_selector, inside)
        case promql.Call():
            for argument in node.args:
                yield from _walk(argument, (*inside, node.func.name))
        case promql.AggregateExpr():
            labels = ",".join(node.modifier.labels) if node.modifier else ""
            yield from _walk(node.expr, (*inside, f"{node.op} by ({labels})"))
        case promql.BinaryExpr():
            yield from _walk(node.lhs, inside)
            yield from _walk(node.rhs, inside)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from _walk(node.expr, inside)
        case _:
            return


def _selected(node: promql.VectorSelector, inside: tuple[str, ...]) -> Selected:
    labels = {matcher.name: matcher.value for matcher in node.matchers.matchers}
    return Selected(node.name or labels["__name__"], labels, inside)
