"""What a profile says of other settings: defaults, which give way to what is given, and what cannot be otherwise."""

from pathlib import Path

import pytest

from detent.profiles import NAMES, PROFILES
from detent.settings.declared import DECLARED
from detent.settings.fitness import development_problems, production_problems
from detent.settings.reading import load

pytestmark = pytest.mark.quick


def test_a_default_of_the_profile_is_told_as_such_and_gives_way_to_what_is_given(tmp_path: Path) -> None:
    chosen = {"data": str(tmp_path), "profile": "mcp"}
    settings = load(chosen, {})
    assert settings.client_id_metadata_documents is True
    assert settings.source("client_id_metadata_documents") == "profile mcp"
    given = load(chosen, {"DETENT_CLIENT_ID_METADATA_DOCUMENTS": "false"})
    assert given.client_id_metadata_documents is False
    assert given.source("client_id_metadata_documents") == "DETENT_CLIENT_ID_METADATA_DOCUMENTS"
    assert load({"data": str(tmp_path)}, {}).source("client_id_metadata_documents") == "default"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_profile_says_of_settings_are_settings_and_fit(name: str, tmp_path: Path) -> None:
    profile = PROFILES[load({"data": str(tmp_path), "profile": name}, {}).profile]
    for setting in (*profile.settings, *profile.fixed):
        assert setting in DECLARED
    for setting, value in profile.settings.items():
        assert type(value) is DECLARED[setting].type
        assert value != DECLARED[setting].default, "else there is nothing to say"
    tmp_path.chmod(0o700)
    started = load({"data": str(tmp_path), "profile": name, "issuer": "https://id.example/"}, {})
    assert production_problems(started) == []


@pytest.mark.parametrize("profile", ["oauth21", "mcp"])
@pytest.mark.parametrize(("setting", "value"), [("password_grant", "true"), ("registration_pkce", "false")])
def test_a_setting_that_contradicts_the_profile_stops_the_start_and_both_are_named(
    setting: str, value: str, profile: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    chosen = {"data": str(tmp_path), "issuer": "https://id.example/", "profile": profile}
    (problem,) = production_problems(load(chosen, {f"DETENT_{setting.upper()}": value}))
    assert (problem.name, problem.source) == (setting, f"DETENT_{setting.upper()}")
    assert f"the profile is {profile} (--profile)" in problem.sentence


@pytest.mark.parametrize("name", NAMES)
def test_development_mode_takes_the_profiles_that_allow_what_it_shows(name: str, tmp_path: Path) -> None:
    told = [problem.name for problem in development_problems(load({"data": str(tmp_path), "profile": name}, {}))]
    assert told == ([] if name in ("oidc", "auth0") else ["profile"])


PAGE = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()


def test_the_page_for_people_names_every_profile_and_what_each_leaves_out() -> None:
    told = {
        "openid": "OpenID",
        "backchannel-logout": "back-channel logout",
        "encryption": "encryption",
        "pairwise": "pairwise",
        "claims": "`claims`",
    }
    for name, profile in PROFILES.items():
        assert f"| `{name}` |" in PAGE
        for each in profile.leaves_out:
            assert told.get(each, f"`{each}`") in PAGE
        for setting in (*profile.settings, *(each for each in profile.fixed if each != "registration_pkce")):
            assert f"`{setting}`" in PAGE
