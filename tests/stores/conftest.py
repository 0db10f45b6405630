"""Assertions of the contract suite are explained like those of any test."""

import pytest

pytest.register_assert_rewrite("detent.testing.store_contract")
