"""What every command has in common: `--json`, `--data`, errors that say what to do, and no secret as an argument."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from detent.cli import main
from detent.cli.operation import facts, table
from tests.cli.conftest import Cli

pytestmark = pytest.mark.quick


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_json_and_data_and_explains_itself(path: tuple[str, ...]) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert {"--json", "--data", "--config"} <= options
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert (COMMANDS[path].help or "").splitlines()[0] in " ".join(shown.output.split())
    assert all(getattr(option, "help", "") for option in COMMANDS[path].params if isinstance(option, click.Option))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_l8_no_option_takes_a_secret(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        names = " ".join(parameter.opts)
        if isinstance(parameter, click.Option) and ("password" in names or "secret" in names):
            assert parameter.is_flag or names == "--password-grant"


@pytest.mark.parametrize("address", ["postgresql://detent:hunter2@db/detent", "host=db user=detent password = hunter2"])
def test_l8_a_password_in_an_address_is_refused_where_everybody_can_read_it(address: str, tmp_path: Path) -> None:
    for command in (("serve", "--store", address), ("migrate", "--to", address)):
        code, told = Cli(tmp_path).refused(*command)
        assert code == "secret_on_command_line"
        assert "PGPASSFILE" in told
        assert "hunter2" not in told


READING = [
    path
    for path in COMMANDS
    if path[0] in ("client", "api", "user", "key", "family") and path[1] not in ("add", "new-kek")
]


@pytest.mark.parametrize("path", READING, ids=" ".join)
def test_where_there_is_no_store_a_command_makes_none_and_says_what_to_do(
    path: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ["x" for parameter in COMMANDS[path].params if isinstance(parameter, click.Argument)]
    code, told = Cli(tmp_path / "nowhere").refused(*path, *arguments)
    assert code == "store_unavailable"
    assert "detent up" in told
    assert not (tmp_path / "nowhere").exists()


def test_an_error_is_one_sentence_for_a_person(cli: Cli) -> None:
    cli("api", "add", "https://api.example/")
    result = cli.run("client", "show", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "detent: There is no client nobody. `detent client list` shows those there are.\n"


def test_a_wrong_command_line_ends_with_2(cli: Cli) -> None:
    assert "No such option" in cli.misused("client", "list", "--nothing")
    assert "Missing option '--kind'" in cli.misused("client", "add")


def test_an_unknown_setting_stops_every_command(cli: Cli) -> None:
    result = cli.run("client", "list", env={"DETENT_PROT": "1"})
    assert result.exit_code == 1
    assert "DETENT_PROT: there is no setting DETENT_PROT. Did you mean DETENT_PORT?" in result.stderr


def test_a_store_that_is_none_is_refused_by_name(cli: Cli) -> None:
    (cli.data / "detent.db").write_bytes(b"this is not a database, not at all" * 100)
    code, told = cli.refused("client", "list")
    assert code == "store_unavailable"
    assert str(cli.data / "detent.db") in told


def test_a_place_that_cannot_hold_data_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (("up", "--port", "0"), ("client", "add", "--kind", "native")):
        code, told = Cli(tmp_path / "file" / "data").refused(*command)
        assert code in ("invalid_settings", "unusable_file", "store_unavailable")
        assert str(tmp_path / "file") in told


def test_l2_no_value_reaches_the_terminal_with_what_it_could_do_there(cli: Cli) -> None:
    nasty = "\x1b[31mred\u202eder\r\n"
    client_id = cli.json("client", "add", "--kind", "native", "--name", nasty)["client_id"]
    for told in (cli("client", "list"), cli("client", "show", client_id)):
        assert all(character.isprintable() or character == "\n" for character in told)
        assert r"\x1b[31mred\u202eder\r\n" in told
    assert cli.json("client", "show", client_id)["client_name"] == nasty


def test_columns_are_as_wide_as_they_need_to_be() -> None:
    assert table(("A", "LONG"), [("xyz", None), ("", 7)]) == "A    LONG\nxyz  -\n-    7"
    assert table(("A", "B"), []) == "A  B"


def test_facts_are_spelt_for_people() -> None:
    told = facts({"a": True, "created_at": 0, "used_at": 1_800_000_000, "names": ["x", "y"], "none": None})
    assert [line.split("  ")[-1].strip() for line in told.splitlines()] == [
        "yes", "0", "2027-01-15 08:00:00 UTC", "x y", "-",
    ]  # fmt: skip
