"""U9: twins of a username meet in one account or are refused; nothing that hides gets in."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core.errors import InvalidRequest
from detent.core.people import canonical_username
from detent.identity.usernames import checked_username

pytestmark = pytest.mark.quick

GOOD = ["alice", "Alice", "alice@example.com", "o'neil+x", "élodie", "Ünal", "иван", "Ἀθηνᾶ", "田中さん", "김철수", "x"]


@pytest.mark.parametrize("name", GOOD)
def test_a_name_in_one_script_is_kept_as_it_was_typed(name: str) -> None:
    assert checked_username(name) == unicodedata.normalize("NFKC", name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "ALICE"),
        ("alice", "ａｌｉｃｅ"),
        ("a@example.com", "a＠example.com"),
        ("élodie", "e\u0301lodie"),
        ("straße", "STRASSE"),
        ("k", "\u212a"),
        ("fi", "ﬁ"),
        ("alice", " alice\t"),
        ("σίσυφος", "ΣΊΣΥΦΟΣ"),
    ],
)
def test_u9_twins_in_case_width_and_form_are_one_name(one: str, other: str) -> None:
    assert canonical_username(checked_username(one)) == canonical_username(checked_username(other))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ali\u200bce", id="zero width space"),
        pytest.param("ali\u200dce", id="zero width joiner"),
        pytest.param("alice\ufeff", id="byte order mark"),
        pytest.param("ali\u00adce", id="soft hyphen"),
        pytest.param("\u202ealice", id="bidi override"),
        pytest.param("ali\u2066ce", id="bidi isolate"),
        pytest.param("alice\ufe0f", id="variation selector"),
        pytest.param("alice\U000e0101", id="variation selector supplement"),
        pytest.param("ali\u034fce", id="combining grapheme joiner"),
        pytest.param("\u3164", id="Hangul filler"),
        pytest.param("김\u115f", id="Hangul choseong filler"),
        pytest.param("alice\U000e0041", id="tag"),
        pytest.param("ali\x00ce", id="NUL"),
        pytest.param("ali\x1bce", id="escape"),
        pytest.param("ali\nce", id="new line"),
        pytest.param("ali ce", id="space"),
        pytest.param("ali\u00a0ce", id="no-break space"),
        pytest.param("\u2800", id="braille blank"),
        pytest.param("ali\ud800ce", id="lone surrogate"),
        pytest.param("\ue000", id="private use"),
        pytest.param("\u0378", id="unassigned"),
        pytest.param("\u0301alice", id="begins with a mark"),
        pytest.param("\u0430lice", id="Cyrillic a in a Latin name"),
        pytest.param("\u03bfliver", id="Greek omicron in a Latin name"),
        pytest.param("ива\u006e", id="Latin n in a Cyrillic name"),
        pytest.param("a1ice\u0967", id="digits of another script"),
        pytest.param("alice😀", id="emoji"),
        pytest.param("", id="empty"),
        pytest.param(" \u3000", id="only spaces"),
        pytest.param("a" * 129, id="129 characters"),
        pytest.param("\ufdfa" * 100, id="grows beyond 128 when normalized"),
    ],
)
def test_u9_what_hides_or_imitates_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        checked_username(name)
    assert refusal.value.description.startswith("A username ")
    assert refusal.value.description.isprintable()


def test_a_name_has_1_to_128_characters() -> None:
    assert checked_username("a" * 128) == "a" * 128


@given(name=st.text(max_size=140))
def test_every_text_is_refused_or_has_one_stable_spelling(name: str) -> None:
    try:
        shown = checked_username(name)
    except InvalidRequest:
        return
    canonical = canonical_username(shown)
    assert canonical == canonical_username(name) == canonical_username(canonical)
    assert canonical_username(checked_username(canonical)) == canonical
    assert not [character for character in shown if unicodedata.category(character)[0] in "CZ"]
