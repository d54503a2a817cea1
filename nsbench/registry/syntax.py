"""Source files as digests read them: statements as text that holds only the code that runs.

Comments, docstrings, layout and blocks under TYPE_CHECKING are gone. Imports stand apart from the text; where a
statement uses a name that an import binds, its text has a mark: the name itself must not count, since a module may be
renamed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MARK = re.compile("\0([^\0]+)\0")
"""A use of an imported name in a statement's text: the dotted name between two NULs, which no source can hold."""

_Body = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableSource(Exception):
    """A file that cannot be parsed as Python."""


@dataclass(frozen=True)
class Import:
    """A name that an import binds.

    local      the name; for `import a.b`, which binds a, the whole "a.b"; for `import_module("a.b")`, "@a.b".
    module     the module's name as it is written, leading dots included.
    attribute  the name that is taken from the module, possibly another module's; None for the module itself.
    """

    local: str
    module: str
    attribute: str | None = None


@dataclass(frozen=True)
class Statement:
    """A statement of a module. text: its syntax, "" for an import. uses, binds: names that it uses, and defines.

    hook: whether it implements a hook. plain: whether it defines a name and does nothing else.
    """

    text: str
    imports: tuple[Import, ...]
    uses: frozenset[str]
    binds: frozenset[str]
    hook: bool
    plain: bool


def read_statements(path: Path) -> tuple[Statement, ...]:
    """The statements of a file, read again when it changed. Raises UnreadableSource."""
    status = path.stat()
    return _parsed(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@cache
def _parsed(path: Path, inode: int, size: int, modified: int, changed: int) -> tuple[Statement, ...]:
    """The statements of a file. changed: its ctime, which no program can set back."""
    return statements_of(path.read_bytes(), path)


def statements_of(source: bytes, path: Path) -> tuple[Statement, ...]:
    """The statements of a file's content. Raises UnreadableSource."""
    try:
        tree = ast.parse(source, filename=str(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UnreadableSource(f"{path}: {error}") from error
    nodes = [(statement, _running(statement)) for statement in _body(tree)]
    imports = (imported for _, running in nodes for node in running for imported in _imports(node))
    bound = frozenset(imported.local.partition(".")[0] for imported in imports)
    read: list[Statement] = []
    for statement, running in nodes:
        try:
            read += _statements(statement, running, bound)
        except RecursionError as error:
            fault = "nested too deeply to be read, as a sum of a thousand terms is: build it in a loop, or in parts"
            raise UnreadableSource(f"{path}:{statement.lineno}: {fault}") from error
        except ValueError as error:  # an integer of more digits than Python writes
            raise UnreadableSource(f"{path}:{statement.lineno}: {error}") from error
    return tuple(read)


def without_hooks(statements: Iterable[Statement], wanted: frozenset[str]) -> tuple[Statement, ...]:
    """The statements without hook implementations and without those that only hooks use. wanted: names that stay."""
    kept = [s for s in statements if not s.hook]
    used_by_hooks = {name for s in statements if s.hook for name in s.uses}
    while True:
        idle = [s for s in kept if s.plain and s.binds & used_by_hooks and not s.binds & (wanted | _used(kept, s))]
        if not idle:
            return tuple(kept)
        kept = [s for s in kept if s not in idle]
        used_by_hooks |= {name for s in idle for name in s.uses}


def _used(statements: Iterable[Statement], excluded: Statement) -> set[str]:
    """The names that all statements but one use."""
    return {name for statement in statements if statement is not excluded for name in statement.uses}


def _statements(node: ast.stmt, running: Sequence[ast.AST], bound: frozenset[str]) -> Iterator[Statement]:
    """The statement of a node; for an import, one statement for each name that it binds. running: see ``_running``."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        for name in _imports(node):
            binds = frozenset({name.local.partition(".")[0]})
            yield Statement("", (name,), frozenset(), binds, hook=False, plain=True)
        return
    imports = tuple(name for inner in running for name in _imports(inner))
    uses = frozenset(inner.id for inner in running if isinstance(inner, ast.Name))
    binds = frozenset(_defined(node))
    yield Statement(_text(node, bound), imports, uses - binds, binds, _is_hook(node), bool(binds) and _is_plain(node))


def _defined(node: ast.stmt) -> Iterator[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _is_plain(node: ast.stmt) -> bool:
    """Whether a definition runs nothing: a class or function without decorators, an assignment without calls."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return not node.decorator_list
    return not any(isinstance(inner, ast.Call) for inner in ast.walk(node))


def _is_hook(node: ast.stmt) -> bool:
    """Whether a function is marked with @hookimpl."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    called = (d.func if isinstance(d, ast.Call) else d for d in decorators)
    return any((_chain(name) or [""])[-1] == "hookimpl" for name in called)


def _imports(node: ast.AST) -> Iterator[Import]:
    """The names that a node binds by importing."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.asname or alias.name, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        yield from (Import(alias.asname or alias.name, base, alias.name) for alias in node.names)
    elif isinstance(node, ast.Call) and (module := _imported_by_call(node)):
        yield Import(f"@{module}", module)


def _imported_by_call(node: ast.Call) -> str | None:
    """The module of `import_module("literal")`, or of `__import__`."""
    first = node.args[0] if node.args else None
    is_import = (_chain(node.func) or [""])[-1] in ("import_module", "__import__")
    return first.value if is_import and isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _running(root: ast.AST) -> list[ast.AST]:
    """A node and all nodes below it, in the order of the source, without blocks that only type checkers read."""
    nodes, todo = [], [root]
    while todo:
        node = todo.pop()
        nodes.append(node)
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and _is_for_type_checkers(node):
            children = [child for child in children if child not in node.body]
        todo += reversed(children)
    return nodes


def _is_for_type_checkers(node: ast.If) -> bool:
    return (_chain(node.test) or [""])[-1] == "TYPE_CHECKING"


def _chain(node: ast.AST) -> list[str] | None:
    """The names in a dotted expression: ["a", "b", "c"] for a.b.c; None for any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else None


def _text(node: object, bound: frozenset[str]) -> str:
    """A syntax tree as text, without docstrings, positions and empty fields; uses of imported names are marked."""
    if isinstance(node, list):
        return "[" + ",".join([text for child in node if (text := _text(child, bound))]) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    kind = type(node)
    if kind is ast.Import or kind is ast.ImportFrom:
        return ""
    if kind is ast.Name or kind is ast.Attribute:
        chain = _chain(node)
        if chain and chain[0] in bound:
            return f"\0{'.'.join(chain)}\0"
    return f"{kind.__name__}({','.join(_fields(node, bound))})"


def _fields(node: ast.AST, bound: frozenset[str]) -> Iterator[str]:
    """The fields of a node that say what it does, each as name=text."""
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "type_comment") or value is None or value == []:
            continue
        if name == "body" and isinstance(node, _Body):
            value = _body(node)
        if name == "body" and isinstance(node, ast.If) and _is_for_type_checkers(node):
            continue
        if name == "args" and isinstance(node, ast.Call) and (module := _imported_by_call(node)):
            yield f"{name}=[\0@{module}\0,{_text(value[1:], bound)}]"
        else:
            yield f"{name}={_text(value, bound)}"


def _body(node: _Body) -> list[ast.stmt]:
    """The statements of a body, docstrings left out."""
    return [child for child in node.body if not _is_string(child)]


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
