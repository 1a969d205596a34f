"""The environment, where it says nothing or what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradloom import config
from gradloom.errors import OptionError


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, as in containers."""

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GRADLOOM_CACHE", "GRADLOOM_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_nothing_is_kept():
    assert config.cache_folder() is None
    with pytest.raises(OptionError, match=r"downloads: .* this user has no home\. Set XDG_CACHE_HOME to a folder"):
        config.download_folder()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_a_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert config.cache_folder() == tmp_path / "gradloom"
    monkeypatch.setenv("GRADLOOM_CACHE", "off")
    assert config.cache_folder() is None
    assert config.download_folder() == tmp_path / "gradloom" / "data"


@pytest.mark.parametrize("name", ["GRADLOOM_CACHE", "GRADLOOM_DATA"])
def test_the_home_of_no_one(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "~no-such-user/x")
    read = config.cache_folder if name == "GRADLOOM_CACHE" else config.data_folder
    with pytest.raises(OptionError, match=f"{name}: .* got '~no-such-user/x'. Write the whole path."):
        read()
