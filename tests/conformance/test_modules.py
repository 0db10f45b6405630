"""The list of modules is whole, and each of them has a test of its name that runs with the clients of its plans."""

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.modules import PLANS, SIZES, Variant, name_of_test

pytestmark = pytest.mark.quick

# What a test is run with says for which clients it stands; without either it is about the server alone.
CLIENTS: dict[str, Callable[[Variant], bool]] = {
    "party": lambda variant: True,
    "newcomer": lambda variant: variant.registration == "dynamic",
}


def functions() -> Iterator[tuple[str, Any]]:
    for file in Path(__file__).parent.glob("test_*.py"):
        module = import_module(f"tests.conformance.{file.stem}")
        yield from inspect.getmembers(module, inspect.isfunction)


TESTS = dict(functions())


def test_the_plans_have_as_many_modules_as_the_suite_says() -> None:
    assert {plan: len(set(PLANS[plan].modules)) for plan in PLANS} == SIZES


@pytest.mark.parametrize("plan", PLANS)
def test_every_module_has_a_test_of_its_name_with_the_plans_clients(plan: str) -> None:
    wanted = PLANS[plan]
    missing = [module for module in wanted.modules if name_of_test(module) not in TESTS]
    assert missing == []
    for module in wanted.modules:
        parameters = inspect.signature(TESTS[name_of_test(module)]).parameters.keys()
        assert all(CLIENTS[name](wanted.variant) for name in parameters & CLIENTS.keys()), module


def test_no_test_is_named_after_a_module_that_there_is_not() -> None:
    known = {name_of_test(module) for plan in PLANS.values() for module in plan.modules}
    named = [name for name in TESTS if name.startswith("test_oidcc_")]
    assert [name for name in named if not any(name.startswith(each) for each in known)] == []
