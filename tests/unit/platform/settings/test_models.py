"""Settings from variables and from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from reclens.errors import InvalidInput, MissingData
from reclens.platform.settings.files import setting_names
from reclens.platform.settings.models import (
    ClientSettings,
    DataSettings,
    StoreSettings,
    WorkerSettings,
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RECLENS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("RECLENS_SECRETS_DIR", str(folder))
    return folder


def test_files_are_read_without_the_white_space_around_them(secrets: Path):
    (secrets / "RECLENS_S3__SECRET_KEY").write_text("a secret\n")
    (secrets / "RECLENS_REDIS__URL").write_text(" redis://trainer:secret@redis:6379/0 \n")
    found = ClientSettings()
    assert found.s3.secret_key.get_secret_value() == "a secret"
    assert found.redis.url.get_secret_value() == "redis://trainer:secret@redis:6379/0"


def test_a_section_may_come_from_both_and_variables_win(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
):
    (secrets / "RECLENS_S3__ACCESS_KEY").write_text("of the file")
    (secrets / "RECLENS_S3__SECRET_KEY").write_text("of the file")
    monkeypatch.setenv("RECLENS_S3__ENDPOINT", "s3:8333")
    monkeypatch.setenv("RECLENS_S3__SECRET_KEY", "of the variable")
    s3 = StoreSettings().s3
    assert s3.endpoint == "s3:8333"
    assert s3.access_key.get_secret_value() == "of the file"
    assert s3.secret_key.get_secret_value() == "of the variable"


def test_variables_and_files_that_are_empty_say_nothing(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RECLENS_S3__BUCKET", "")
    monkeypatch.setenv("RECLENS_DATA__ROOT", "")
    (secrets / "RECLENS_S3__ENDPOINT").write_text("\n")
    found = WorkerSettings()
    assert found.s3.bucket == "reclens"
    assert found.s3.endpoint == "127.0.0.1:8333"
    assert found.data.root is None
    monkeypatch.setenv("RECLENS_SECRETS_DIR", "")
    assert WorkerSettings().s3.endpoint == "127.0.0.1:8333"


def test_a_mount_of_kubernetes_is_read_and_other_files_are_passed_over(secrets: Path):
    version = secrets / "..2026_01_01"
    version.mkdir()
    (version / "RECLENS_S3__SECRET_KEY").write_text("mounted")
    (secrets / "..data").symlink_to(version.name)
    (secrets / "RECLENS_S3__SECRET_KEY").symlink_to("..data/RECLENS_S3__SECRET_KEY")
    (secrets / "users.acl").write_text("user default on")
    (secrets / "RECLENS_NO_SUCH_SETTING").write_text("1")
    assert StoreSettings().s3.secret_key.get_secret_value() == "mounted"


def test_a_field_that_does_not_exist_is_refused_in_a_file_as_in_a_variable(secrets: Path):
    (secrets / "RECLENS_S3__SECRETKEY").write_text("misspelt")
    with pytest.raises(ValidationError, match="secretkey"):
        StoreSettings()


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("")])
def test_a_folder_that_is_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make):
    make(tmp_path / "there")
    monkeypatch.setenv("RECLENS_SECRETS_DIR", str(tmp_path / "there"))
    with pytest.raises(MissingData) as caught:
        StoreSettings()
    assert caught.value.field == "RECLENS_SECRETS_DIR"
    assert str(tmp_path / "there") in caught.value.message


def test_bytes_that_are_no_text_are_named_and_not_shown(secrets: Path):
    (secrets / "RECLENS_S3__SECRET_KEY").write_bytes(b"\xff\xfe")
    with pytest.raises(MissingData, match="no text in UTF-8"):
        StoreSettings()


def test_servers_read_files_too(secrets: Path):
    from reclens_gateway.settings import GatewaySettings
    from reclens_recommender.serving.settings import InferenceSettings

    (secrets / "RECLENS_S3__SECRET_KEY").write_text("theirs")
    (secrets / "RECLENS_GATEWAY__AUTH__RATES_REDIS").write_text("redis://gateway:x@redis/0")
    gateway, inference = GatewaySettings(), InferenceSettings()
    assert gateway.s3.secret_key.get_secret_value() == "theirs"
    assert inference.s3.secret_key.get_secret_value() == "theirs"
    rates = gateway.gateway.auth.rates_redis
    assert rates is not None
    assert rates.get_secret_value() == "redis://gateway:x@redis/0"


def test_what_is_given_is_known_by_name(secrets: Path, monkeypatch: pytest.MonkeyPatch):
    (secrets / "RECLENS_S3__SECRET_KEY").write_text("theirs")
    (secrets / "RECLENS_S3__ACCESS_KEY").write_text("")
    monkeypatch.setenv("RECLENS_REDIS__URL", "redis://here")
    monkeypatch.setenv("RECLENS_CLIENT__TARGET", "")
    given = {name for name in setting_names() if name.startswith("RECLENS_")}
    assert given == {"RECLENS_S3__SECRET_KEY", "RECLENS_REDIS__URL", "RECLENS_SECRETS_DIR"}


def test_the_root_has_data_sets_by_name_and_a_data_set_s_own_setting_wins(tmp_path: Path):
    (tmp_path / "root" / "ml-100k").mkdir(parents=True)
    (tmp_path / "root" / "lastfm-2k").mkdir()
    (tmp_path / "root" / "yelp").write_text("no folder")
    data = DataSettings(root=tmp_path / "root", lastfm_2k=tmp_path / "own")
    assert data.folder("ml-100k") == tmp_path / "root" / "ml-100k"
    assert data.folder("lastfm-2k") == tmp_path / "own"
    assert data.folder("yelp") is None
    assert data.folder("grocery") is None


# --- files that specifications name --------------------------------------------------------------


def _refused(data: DataSettings, path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        data.admit(path, "source.path")
    assert caught.value.field == "source.path"
    return caught.value.sentence


def test_without_a_list_no_file_is_taken_and_the_remedy_says_how(tmp_path: Path):
    (tmp_path / "rows.csv").touch()
    said = _refused(DataSettings.model_validate({}), tmp_path / "rows.csv")
    assert "there is none" in said
    assert "RECLENS_DATA__ROOTS=/folder:/another" in said


@pytest.mark.parametrize("setting", ["roots", "root", "ml_100k"])
def test_what_lies_below_any_folder_that_is_set_is_taken(tmp_path: Path, setting: str):
    data = DataSettings.model_validate({setting: str(tmp_path / "data")})
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "rows.csv").touch()
    for name in ("data", "data/deep", "data/deep/rows.csv", "data/nothing-yet"):
        data.admit(tmp_path / name, "source.path")
    for name in ("", "database", "data/../other", "data/deep/../../.."):
        _refused(data, tmp_path / name)


def test_several_folders_are_divided_by_colons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECLENS_DATA__ROOTS", f"{tmp_path}/a:{tmp_path}/b")
    data = WorkerSettings().data
    data.admit(tmp_path / "a" / "x", "source.path")
    data.admit(tmp_path / "b" / "x", "source.path")
    _refused(data, tmp_path / "c")


def test_links_are_followed_and_circles_end(tmp_path: Path):
    data = DataSettings.model_validate({"roots": str(tmp_path / "data")})
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").touch()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data" / "circle")
    (tmp_path / "data" / "up").symlink_to("..")
    for name in ("link", "circle", "up", "up/secret"):
        _refused(data, tmp_path / "data" / name)
    # A list that is a link itself is what it leads to.
    (tmp_path / "listed").symlink_to(tmp_path / "data")
    DataSettings.model_validate({"roots": str(tmp_path / "listed")}).admit(
        tmp_path / "data" / "rows.csv", "source.path"
    )


def test_what_is_opened_is_what_was_admitted_whatever_is_put_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = DataSettings.model_validate({"roots": str(tmp_path / "data")})
    secret, rows = tmp_path / "secret", tmp_path / "data" / "rows.csv"
    rows.parent.mkdir()
    secret.write_text("secret")
    rows.write_text("rows")

    def swap() -> None:
        rows.unlink(missing_ok=True)
        rows.symlink_to(secret)

    with data.opened(rows, "source.path") as file:
        swap()
        assert (rows.read_text(), file.read_text()) == ("secret", "rows")

    rows.unlink()
    rows.write_text("rows")
    really_open = os.open

    def swapped_before(path: Any, *flags: Any, **options: Any) -> int:
        if path == rows:
            swap()
        return really_open(path, *flags, **options)

    monkeypatch.setattr(os, "open", swapped_before)
    with pytest.raises(InvalidInput, match="not taken for data"), data.opened(rows, "source.path"):
        pytest.fail("it was opened")


def test_a_folder_or_a_pipe_is_not_opened(tmp_path: Path):
    data = DataSettings.model_validate({"roots": str(tmp_path)})
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InvalidInput), data.opened(path, "source.path"):
            pytest.fail("it was opened")
    with pytest.raises(MissingData), data.opened(tmp_path / "nothing", "source.path"):
        pytest.fail("it was opened")


def test_hidden_and_special_files_are_no_data(tmp_path: Path):
    everything = DataSettings.model_validate({"roots": "/"})
    os.mkfifo(tmp_path / "pipe")
    for path in ("/proc/self/environ", "/dev/zero", "/sys", tmp_path / "pipe", "/root/.ssh/id"):
        _refused(everything, Path(path))
    data = DataSettings.model_validate({"roots": str(tmp_path)})
    for name in (".env", ".git/config", "a/.b/c"):
        _refused(data, tmp_path / name)


def test_secrets_and_a_stack_of_one_s_own_are_no_data(
    tmp_path: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RECLENS_STATE_DIR", str(tmp_path / "state"))
    data = DataSettings.model_validate({"roots": str(tmp_path)})
    _refused(data, secrets / "RECLENS_S3__SECRET_KEY")
    _refused(data, tmp_path / "state" / "s3.json")
