"""Mutants: one module with one small fault each, as a programmer might have made it.

A comparison turned, `and` for `or`, a condition negated, a number one off, a plus for a minus, a truth value flipped,
a keyword argument or a statement left out, None returned. Docstrings and type annotations are left alone.
"""

import ast
from collections.abc import Callable, Iterator

import msgspec

_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class Mutant(msgspec.Struct, frozen=True):
    """`name` says line and fault; two of one line differ in their number."""

    name: str
    source: str


def mutants_of(source: str) -> Iterator[Mutant]:
    tree = ast.parse(source)
    seen: dict[str, int] = {}
    for number, node in enumerate(_inside(tree)):
        for fault, change in _faults(node):
            mutated = ast.parse(source)  # far quicker than a copy
            change(list(_inside(mutated))[number])
            name = f"{node.lineno}: {fault}"  # type: ignore[attr-defined]
            seen[name] = seen.get(name, 0) + 1
            suffix = f" ({seen[name]})" if seen[name] > 1 else ""
            yield Mutant(name + suffix, ast.unparse(ast.fix_missing_locations(mutated)))


def _inside(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node of the bodies of functions, in one order; nothing of their signatures."""
    for outer in ast.walk(tree):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in outer.body:
                if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield from _walked(statement)


def _walked(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring, or an ellipsis
    yield node
    for name, value in ast.iter_fields(node):
        if name != "annotation":
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _walked(child)


def _faults(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:  # noqa: C901
    match node:
        case ast.Compare(ops=[only]) if type(only) in _TURNED:
            yield f"{_short(node)}: comparison turned", _turn
        case ast.BoolOp(op=operator):
            yield f"{_short(node)}: {type(operator).__name__} exchanged", _exchange
        case ast.UnaryOp(op=ast.Not()):
            yield f"{_short(node)}: not left out", _without_not
        case ast.If() | ast.IfExp() | ast.While():
            yield f"{_short(node.test)}: condition negated", _negate
        case ast.Constant(value=bool()):
            yield f"{node.value!r}: flipped", _flip
        case ast.Constant(value=int()):
            yield f"{node.value!r}: one more", _one_more
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            yield f"{_short(node)}: sign exchanged", _other_sign
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield f"return {_short(value)}: None returned", _return_none
        case ast.Call(keywords=[_, *_]):
            for number, keyword in enumerate(node.keywords):
                if keyword.arg:
                    yield f"{keyword.arg}=: left out of {_short(node.func)}", _dropper(number)
        case ast.Expr() | ast.Raise() | ast.AugAssign():
            yield f"{_short(node)}: left out", _leave_out


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _turn(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops = [_TURNED[type(node.ops[0])]()]


def _exchange(node: ast.AST) -> None:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _without_not(node: ast.AST) -> None:
    assert isinstance(node, ast.UnaryOp)
    node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)


def _negate(node: ast.AST) -> None:
    assert isinstance(node, ast.If | ast.IfExp | ast.While)
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _flip(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)
    node.value = not node.value


def _one_more(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int)
    node.value += 1


def _other_sign(node: ast.AST) -> None:
    assert isinstance(node, ast.BinOp)
    node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()


def _return_none(node: ast.AST) -> None:
    assert isinstance(node, ast.Return)
    node.value = ast.Constant(None)


def _dropper(number: int) -> Callable[[ast.AST], None]:
    def drop(node: ast.AST) -> None:
        assert isinstance(node, ast.Call)
        del node.keywords[number]

    return drop


def _leave_out(node: ast.AST) -> None:
    """In place, so that the statement keeps its place in the tree."""
    node.__class__ = ast.Pass
    node.__dict__ = {"lineno": 1, "col_offset": 0}
