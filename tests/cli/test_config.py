"""`detent config …` and docs/settings.md: both made from the declarations."""

import re
from pathlib import Path

import pytest

from detent.cli.config import page
from detent.settings.declared import DECLARED, FILE_NAME
from tests.cli.conftest import Cli

pytestmark = pytest.mark.quick

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_of_settings_is_current(cli: Cli) -> None:
    assert PAGE.read_text() == page(), "run: detent config explain --markdown > docs/settings.md"
    assert cli("config", "explain", "--markdown") == page()


def test_explain_says_where_each_value_comes_from(cli: Cli) -> None:
    (cli.data / FILE_NAME).write_text("port = 7\n")
    explained = {each["name"]: each for each in cli.json("config", "explain")}
    assert list(explained) == list(DECLARED)
    assert (explained["port"]["value"], explained["port"]["default"]) == (7, 9400)
    assert explained["port"]["source"] == f"{cli.data / FILE_NAME} line 1"
    assert (explained["data"]["source"], explained["host"]["source"]) == ("--data", "default")
    assert f"{cli.data / FILE_NAME} line 1" in cli("config", "explain")


def test_init_prints_a_file_that_changes_nothing(cli: Cli) -> None:
    before = [each["value"] for each in cli.json("config", "explain")]
    (cli.data / FILE_NAME).write_text(cli("config", "init"))
    assert [each["value"] for each in cli.json("config", "explain")] == before
    assert cli.json("config", "init") == {"toml": cli("config", "init").rstrip("\n")}


def test_every_line_of_the_printed_file_can_be_switched_on(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(re.sub(r"^# (\w+ = )", r"\1", cli("config", "init"), flags=re.MULTILINE))
    explained = cli.json("config", "explain", "--config", str(path))
    assert {each["name"] for each in explained if str(path) in each["source"]} == set(DECLARED) - {"data"}


def test_check_says_all_that_keeps_production_from_starting(cli: Cli) -> None:
    file = cli.data / FILE_NAME
    file.write_text('port = 7\nissuer = "http://id.example/"\n')
    code, told = cli.refused("config", "check")
    assert code == "invalid_settings"
    assert told.startswith(f"issuer ({file} line 2): 'http://id.example/' must be https")
    file.write_text('port = 7\nissuer = "https://id.example/"\n')
    assert cli.json("config", "check") == {"issuer": "https://id.example/"}
