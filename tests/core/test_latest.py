"""A memory that does not grow."""

from detent.core.latest import Latest


def test_of_more_than_it_holds_the_one_that_was_set_longest_ago_is_forgotten() -> None:
    latest: Latest[str, int] = Latest(2)
    latest["a"], latest["b"], latest["a"] = 1, 2, 3
    assert latest.get("b") == 2, "to be read keeps nothing"
    latest["c"] = 4
    assert dict(latest) == {"a": 3, "c": 4}
