"""Where settings come from, and what is wrong with a bad one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from riptide.errors import ConfigError
from riptide.settings import Settings, find_root, read_dotenv

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a project's folder."""
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text(
        'project_id = "demo"\n[api]\nport = 1001\n[db]\nport = 1002\n', encoding="utf-8"
    )
    return tmp_path


def config(root: Path, text: str) -> None:
    """Write a config.toml."""
    (root / "supabase" / "config.toml").write_text(text, encoding="utf-8")


def test_argument_before_environment_before_dotenv_before_config(root: Path) -> None:
    """Each source is used only where no earlier one says anything."""
    assert Settings.load(root, environ={}).config.api_port == 1001
    (root / ".env").write_text("SUPABASE_API_PORT=2001\nRIPTIDE_STACK=docker\n")
    loaded = Settings.load(root, environ={})
    assert (loaded.config.api_port, loaded.backend) == (2001, "docker")
    environ = {"SUPABASE_API_PORT": "3001", "RIPTIDE_STACK": "embedded"}
    loaded = Settings.load(root, environ=environ)
    assert (loaded.config.api_port, loaded.backend) == (3001, "embedded")
    loaded = Settings.load(root, environ=environ, api_port=4001, backend="auto")
    assert (loaded.config.api_port, loaded.backend) == (4001, "auto")
    assert loaded.config.db_port == 1002


def test_project_is_found_from_below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder inside the project its root is found; a given root is taken as it is."""
    below = root / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_root() == root
    with pytest.raises(ConfigError, match="no Supabase project") as caught:
        find_root(below)
    assert "inv migrate.init" in str(caught.value.next_step)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('project_id = "x"\n[api\n', "config.toml:2: not valid TOML"),
        ("[db]\nport = 'x'\n", r"config.toml:2: \[db\] port must be a port"),
        ("[db]\n\nport = 70000\n", r"config.toml:3: \[db\] port must be a port"),
        ("[api]\nport = true\n", r"config.toml:2: \[api\] port must be a port"),
        ("[api]\nmax_rows = -1\n", r"config.toml:2: \[api\] max_rows must be a whole number"),
        ("[api]\nschemas = 'public'\n", r"config.toml:2: \[api\] schemas must be a list"),
        ("[db.seed]\nenabled = 3\n", r"config.toml:2: \[db.seed\] enabled must be true or false"),
        ("project_id = 3\n", "config.toml:1: project_id must be a string"),
        ("api = 3\n", "config.toml:1: api is not a table"),
    ],
)
def test_bad_config_names_the_line(root: Path, text: str, message: str) -> None:
    """A malformed file or a value of the wrong kind is told with its line."""
    config(root, text)
    with pytest.raises(ConfigError, match=message):
        Settings.load(root, environ={})


def test_malformed_config_shows_no_value(root: Path) -> None:
    """The excerpt of a malformed line shows its key and not what may be a secret."""
    config(root, 'project_id = "x"\n[auth]\nsecret_key = "sb_secret_hidden\n')
    with pytest.raises(ConfigError) as caught:
        Settings.load(root, environ={})
    assert "secret_key = …" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_config_that_is_not_utf8(root: Path) -> None:
    """A config.toml in another encoding is an error, not a traceback."""
    (root / "supabase" / "config.toml").write_bytes(b'project_id = "\xff"\n')
    with pytest.raises(ConfigError, match="not UTF-8"):
        Settings.load(root, environ={})


def test_env_values_of_config(root: Path) -> None:
    """env(NAME) takes the variable, and the default where it is not set, as the CLI does."""
    config(root, '[api]\nport = "env(MY_PORT)"\n[auth]\nsecret_key = "env(MY_KEY)"\n')
    loaded = Settings.load(root, environ={"MY_PORT": "5001", "MY_KEY": "sb_secret_mine"})
    assert loaded.config.api_port == 5001
    assert loaded.config.auth.secret_key == "sb_secret_mine"
    assert Settings.load(root, environ={}).config.api_port == 54321


def test_defaults_are_the_cli_s(root: Path) -> None:
    """An empty config.toml gives the ports and values that the CLI documents."""
    config(root, "")
    loaded = Settings.load(root, environ={})
    assert (loaded.config.api_port, loaded.config.db_port) == (54321, 54322)
    assert loaded.config.project_id == root.name
    assert loaded.config.schemas == ("public", "graphql_public")
    assert loaded.config.auth.jwt_expiry == 3600
    assert loaded.target.is_local
    assert loaded.target.name == "local (127.0.0.1:54322/postgres)"


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "1.5"])
def test_bad_port_in_the_environment(root: Path, port: str) -> None:
    """A port that is none is refused by the name of its variable."""
    with pytest.raises(ConfigError, match="SUPABASE_DB_PORT is"):
        Settings.load(root, environ={"SUPABASE_DB_PORT": port})


def test_one_port_for_both_is_refused(root: Path) -> None:
    """The API and the database cannot share a port."""
    with pytest.raises(ConfigError, match="cannot both have port 1001"):
        Settings.load(root, environ={}, db_port=1001)


def test_unknown_backend_is_refused(root: Path) -> None:
    """A backend that there is not is named, with those that there are."""
    with pytest.raises(ConfigError, match="no backend 'podman'") as caught:
        Settings.load(root, environ={"RIPTIDE_STACK": "podman"})
    assert "auto, docker or embedded" in str(caught.value)


def test_targets(root: Path) -> None:
    """local, linked, remote and a URL each give their target; anything else is refused."""
    url = "postgresql://u:pw@h:5432/d"
    assert Settings.load(root, environ={}, target="linked").target.name == "linked project"
    remote = Settings.load(root, environ={"SUPABASE_DB_URL": url}, target="remote").target
    assert (remote.kind, remote.url) == ("remote", url)
    assert Settings.load(root, environ={}, target=url).target.url == url
    with pytest.raises(ConfigError, match="URL is not known"):
        Settings.load(root, environ={}, target="remote")
    with pytest.raises(ConfigError, match="not a database URL"):
        Settings.load(root, environ={}, target="staging")


def test_next_command_means_the_same_target(root: Path) -> None:
    """`remote` may be another database than the URL that was given, which has a password."""
    url = "postgresql://postgres:hush@db.example.com:5432/postgres"
    flags = {
        given: Settings.load(root, target=given, environ={"SUPABASE_DB_URL": f"{url}2"}).target.flag
        for given in ("local", "linked", "remote", url)
    }
    assert flags == {
        "local": "",
        "linked": " --target linked",
        "remote": " --target remote",
        url: " --target <the same URL>",
    }


def test_dotenv_takes_what_python_dotenv_takes(tmp_path: Path) -> None:
    """Comments, quotes, export and references are python-dotenv's."""
    path = tmp_path / ".env"
    path.write_text("# c\nexport A=1\nB='two words'\nC=${A}3\nD\n\nE=\"x # y\" # c\n")
    assert read_dotenv(path) == {"A": "1", "B": "two words", "C": "13", "E": "x # y"}
    assert read_dotenv(tmp_path / "absent") == {}


def test_bad_dotenv_line_is_named_and_not_shown(tmp_path: Path) -> None:
    """A line that cannot be understood is named by its number; what stands in it is not shown."""
    path = tmp_path / ".env"
    path.write_text("A=1\n\nthis is = 'not closed secret\n")
    with pytest.raises(ConfigError, match=r"\.env:3: this line cannot be understood") as caught:
        read_dotenv(path)
    assert "secret" not in str(caught.value)


def test_dotenv_that_is_not_utf8(tmp_path: Path) -> None:
    """A .env in another encoding is an error, not a traceback."""
    path = tmp_path / ".env"
    path.write_bytes(b"B=1\nA=\xff\n")
    with pytest.raises(ConfigError, match=r"\.env:2: not UTF-8 \(byte 0xff\)") as caught:
        read_dotenv(path)
    assert "as UTF-8" in (caught.value.next_step or "")


@pytest.mark.parametrize("name", ["SUPABASE_DB_PORT", "SUPABASE_API_PORT"])
def test_empty_port_is_not_an_unset_one(root: Path, name: str) -> None:
    """A port that is set and empty is refused: config.toml's may be another project's."""
    (root / ".env").write_text(f"{name}=\n")
    with pytest.raises(ConfigError, match=f"{name} is set and empty"):
        Settings.load(root, environ={})


def test_repr_has_no_secret(root: Path) -> None:
    """The repr of settings holds no key, password or token secret."""
    environ = {"SUPABASE_SECRET_KEY": "sb_secret_top", "SUPABASE_PUBLISHABLE_KEY": "sb_pub_x"}
    shown = repr(Settings.load(root, environ=environ))
    for secret in ("sb_secret", "sb_pub", "super-secret", "postgres:postgres"):
        assert secret not in shown


def test_empty_target_is_not_the_local_one(root: Path) -> None:
    """A target that is an empty text, as an unset variable gives it, is refused."""
    with pytest.raises(ConfigError, match="the target is an empty text"):
        Settings.load(root, environ={}, target="")
