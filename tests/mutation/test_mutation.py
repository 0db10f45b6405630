"""The runner itself: it finds what the tests notice, and says so of what they do not; and its mutants are real.

A handful of each module; whole runs are `python -m tests.mutation`, their figures docs/proof.md.
"""

import ast
from pathlib import Path

import pytest

from tests.mutation import __main__ as mutation
from tests.mutation.mutants import mutants_of
from tests.mutation.survivors import EQUIVALENT

pytestmark = pytest.mark.quick

MODULES = [module for module, _ in mutation.MODULES.values()]
SMALL = "def more(a, b):\n    if a < b and not b:\n        log(a, why=b)\n    return a + 1\n"


def test_a_mutant_differs_from_its_original_in_one_place() -> None:
    assert [mutant.name for mutant in mutants_of(SMALL)] == [
        "2: a < b and (not b): condition negated",
        "2: a < b and (not b): And exchanged",
        "2: a < b: comparison turned",
        "2: not b: not left out",
        "3: log(a, why=b): left out",
        "3: why=: left out of log",
        "4: return a + 1: None returned",
        "4: a + 1: sign exchanged",
        "4: 1: one more",
    ]
    plain = ast.unparse(ast.parse(SMALL)).splitlines()
    for mutant in mutants_of(SMALL):
        changed = mutant.source.splitlines()
        assert sum(one != other for one, other in zip(plain, changed, strict=True)) == 1, mutant


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_every_survivor_that_is_explained_is_still_a_mutant(module: str) -> None:
    source = (mutation.ROOT / "src" / "detent" / module).read_text("utf-8")
    names = {mutant.name.split(": ", 1)[1] for mutant in mutants_of(source)}
    assert set(EQUIVALENT.get(module, {})) <= names


@pytest.mark.slow
@pytest.mark.parametrize("name", mutation.MODULES)
def test_some_mutants_of_each_module_are_noticed(name: str) -> None:
    result = mutation.judged(name, sample=2, seed=1, stages=1, quiet=True)
    known = EQUIVALENT.get(result.module, {})
    unexplained = [name for name in result.survivors if name.split(": ", 1)[1] not in known]
    assert (result.mutants, unexplained) == (2, [])


@pytest.mark.slow
def test_a_mutant_that_no_test_looks_at_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = tmp_path / "test_blind.py"
    blind.write_text("def test_nothing():\n    import detent.tokens.handle\n")
    monkeypatch.setitem(mutation.MODULES, "handle", ("tokens/handle.py", ((str(blind),),)))
    result = mutation.judged("handle", sample=1, seed=1, stages=None, quiet=True)
    assert len(result.survivors) == 1


@pytest.mark.slow
def test_an_original_that_fails_its_tests_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "test_wrong.py"
    wrong.write_text("def test_nothing():\n    raise AssertionError\n")
    monkeypatch.setitem(mutation.MODULES, "handle", ("tokens/handle.py", ((str(wrong),),)))
    with pytest.raises(SystemExit, match="fails its own tests"):
        mutation.judged("handle", sample=1, seed=1, stages=None, quiet=True)
