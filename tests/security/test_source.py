"""What the package's source never does, seen in its syntax: unpickle, evaluate text, run a shell, build SQL."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import heavyjobs

PACKAGE: Final = Path(heavyjobs.__file__).parent
TEXTS: Final = {
    str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py")) if "testing" not in path.parts
}
SOURCES: Final = {file: ast.parse(text) for file, text in TEXTS.items()}
MODULES: Final = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "jsonpickle"}
CALLS: Final = {"eval", "exec", "compile", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
EXECUTES: Final = {"execute", "executemany", "executescript"}

SQL_OTHERWISE: Final = {
    ("store/postgres/migrating.py", "script.encode()"): "a migration, from a file of the package",
    ("store/sqlite/migrating.py", "sentence"): "a sentence of a migration, from a file of the package",
    ("store/sqlite/connecting.py", 'f"PRAGMA {pragma}"'): "our own settings; a pragma takes no parameters",
    ("store/sqlite/connecting.py", "f\"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}\""): "one of two words",
    ("store/sqlite/health.py", 'f"PRAGMA quick_check({DAMAGES_MAX})"'): "a number of ours",
    ("store/postgres/health.py", 'sql.SQL("LISTEN {}").format(sql.Identifier(channel))'): "quoted by the driver",
}
"""What is neither from statements.sql nor a constant, and why that is right."""


@pytest.mark.fault("security: somebody writes a pickle where heavyjobs reads")
def test_nothing_is_unpickled() -> None:
    found = [(file, name) for file, tree in SOURCES.items() for name in _imported(tree) if name.split(".")[0] in MODULES]
    # Of multiprocessing's connections this is the verb that unpickles; sockets and pipes have others, or say how many bytes.
    received = [
        (file, call.lineno)
        for file, call in _calls()
        if isinstance(call.func, ast.Attribute) and call.func.attr == "recv" and not call.args
    ]

    assert found == []
    assert received == []


def test_no_text_is_evaluated_and_no_shell_is_asked() -> None:
    found = [(file, ast.unparse(call)) for file, call in _calls() if ast.unparse(call.func) in CALLS or _asks_a_shell(call)]

    assert found == []


@pytest.mark.fault("security: names and values that would be SQL")
def test_every_statement_is_from_the_file_of_statements_or_a_constant() -> None:
    built = {
        (file, ast.get_source_segment(TEXTS[file], call.args[0]))
        for file, call in _calls()
        if isinstance(call.func, ast.Attribute) and call.func.attr in EXECUTES and not _is_written(call.args[0])
    }

    assert built == set(SQL_OTHERWISE)


def test_these_checks_see_what_they_look_for() -> None:
    bad = ast.parse("import pickle\nsubprocess.run('x', shell=True)\nc.execute(f'SELECT {x}')\nc.execute('a' + b)")
    shell, *executes = [node for node in ast.walk(bad) if isinstance(node, ast.Call)]

    assert list(_imported(bad)) == ["pickle"]
    assert _asks_a_shell(shell)
    assert not any(_is_written(call.args[0]) for call in executes)


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for file, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield file, node


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module)):
                yield module
            case _:
                pass


def _asks_a_shell(call: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    return ("shell" in given and ast.unparse(given["shell"]) != "False") or ast.unparse(call.func).endswith("subprocess_shell")


def _is_written(statement: ast.expr) -> bool:
    """Whether it is a constant, or one of `SQL`, which holds what the files of statements have."""
    match statement:
        case ast.Constant(value=str()) | ast.Subscript(value=ast.Name(id="SQL")):
            return True
        case _:
            return False
