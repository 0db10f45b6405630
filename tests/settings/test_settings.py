"""Where a setting's value comes from, and that nothing undeclared or unclear is passed over."""

from pathlib import Path

import pytest

from detent.settings.declared import DECLARED, FILE_NAME, PREFIX, Settings, SettingsError
from detent.settings.reading import load

pytestmark = pytest.mark.quick


def written(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text)
    return path


def refusal(flags: dict[str, str], environment: dict[str, str], config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        load(flags, environment, config)
    return str(refused.value)


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\nhost = "localhost"\nprofile = "oauth21"\n')
    settings = load({"port": "3"}, {"DETENT_PORT": "2", "DETENT_HOST": "::1"}, file)
    assert (settings.port, settings.host, settings.profile, settings.log_level) == (3, "::1", "oauth21", "info")


def test_every_value_remembers_where_it_came_from(tmp_path: Path) -> None:
    file = written(tmp_path, '# one\n\nprofile = "oauth21"\n')
    settings = load({"port": "3"}, {"DETENT_HOST": "::1"}, file)
    sources = [settings.source(name) for name in ("port", "host", "profile", "log_level")]
    assert sources == ["--port", "DETENT_HOST", f"{file} line 3", "default"]


def test_the_file_in_the_data_directory_is_found(tmp_path: Path) -> None:
    written(tmp_path, "port = 7\n")
    assert load({"data": str(tmp_path)}, {}).port == 7
    assert load({}, {"DETENT_DATA": str(tmp_path)}).port == 7


def test_a_data_directory_without_a_file_is_all_defaults(tmp_path: Path) -> None:
    assert load({"data": str(tmp_path)}, {}) == Settings(data=tmp_path, sources={"data": "--data"})


def test_a_path_in_a_file_is_seen_from_the_file(tmp_path: Path) -> None:
    assert load({}, {}, written(tmp_path, 'data = "state"\n')).data == tmp_path / "state"


def test_the_file_in_the_data_directory_cannot_move_the_data_directory(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\ndata = "elsewhere"\n')
    assert f"data ({file} line 2)" in refusal({"data": str(tmp_path)}, {})


@pytest.mark.parametrize("text", ["true", "1", "True"])
def test_a_switch_is_read_from_text(text: str, tmp_path: Path) -> None:
    assert load({"data": str(tmp_path)}, {"DETENT_PASSWORD_GRANT": text}).password_grant is True


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('port = "9400"', "port"),
        ("port = 65536", "port"),
        ("port = -1", "port"),
        ("port = true", "port"),
        ("port = nan", "port"),
        ('password_grant = "yes"', "password_grant"),
        ("password_grant = 1", "password_grant"),
        ("session_idle = 59", "session_idle"),
        ("session_absolute = 34560001", "session_absolute"),
        ("sign_in_failures = 0", "sign_in_failures"),
        ("proxies = -1", "proxies"),
        ('store_behind = "ignore"', "store_behind"),
        ("store_behind = ['refuse']", "store_behind"),
        ("issuer = 7", "issuer"),
        ("data = 7", "data"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_with_its_line(line: str, name: str, tmp_path: Path) -> None:
    file = written(tmp_path, f"\n{line}\n")
    told = refusal({}, {}, file)
    assert told.startswith(f"{name} ({file} line 2): must be {DECLARED[name].expected}")


@pytest.mark.parametrize("text", ["", "x", "-1", "65536", "9" * 5000, "１２", "1.0", "1e3", " 80"])
def test_a_number_from_outside_is_plain_digits_in_its_range(text: str, tmp_path: Path) -> None:
    assert "port (DETENT_PORT): must be a whole number from 0 to 65535" in refusal(
        {"data": str(tmp_path)}, {"DETENT_PORT": text}
    )


def test_an_unknown_key_stops_the_start_and_is_named_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\nisuer = "https://id.example/"\n[table]\nx = 1\n')
    told = refusal({}, {}, file)
    assert f"{file} line 2: there is no setting isuer. Did you mean issuer?" in told
    assert f"{file} line 3: there is no setting table." in told


def test_an_unknown_variable_stops_the_start(tmp_path: Path) -> None:
    told = refusal({"data": str(tmp_path)}, {"DETENT_ISUER": "x", "DETENT_port": "1", "PATH": "/bin"})
    assert "there is no setting DETENT_ISUER. Did you mean DETENT_ISSUER?" in told
    assert "there is no setting DETENT_port." in told
    assert "PATH" not in told


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 'x'\n")
    told = refusal({"log_level": "loud"}, {"DETENT_STORE_BEHIND": "?", "DETENT_NO": "1"}, file)
    assert [line.split(" ")[0] for line in told.splitlines()] == ["DETENT_NO:", "store_behind", "log_level", "port"]


def test_a_value_of_several_lines_does_not_shift_the_lines_of_others(tmp_path: Path) -> None:
    file = written(tmp_path, 'issuer = """\nport = 5\n"""\nport = 6\n')
    assert load({}, {}, file).source("port") == f"{file} line 4"


@pytest.mark.parametrize("content", [b"port = ", b"port = 1\nport = 2\n", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_bytes(content)
    assert f"{file}: cannot be read as TOML" in refusal({}, {}, file)


def test_a_config_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path / 'no.toml'}: there is no such file" in refusal({}, {}, tmp_path / "no.toml")


def test_every_declaration_says_enough() -> None:
    for name, setting in DECLARED.items():
        assert setting.about.sentence.endswith("."), name
        assert setting.variable == PREFIX + name.upper()
    assert set(DECLARED) | {"sources"} == set(Settings.__struct_fields__)
