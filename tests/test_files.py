import errno
import json
from pathlib import Path

import pytest

from vireid.files import atomic_path, disk_error, read_json, resumable_folder, write_json
from vireid.types import VireidError


def _write_half(path: Path, error: Exception) -> None:
    path.write_text("half")
    raise error


def test_a_file_or_folder_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "file"
    for text in ("old", "new"):
        with atomic_path(target) as path:
            path.write_text(text)
            assert not target.exists() or target.read_text() == "old"
        assert target.read_text() == text
    folder = tmp_path / "folder"
    for name in ("a", "b"):
        with atomic_path(folder) as path:
            path.mkdir()
            (path / name).touch()
        assert [p.name for p in folder.iterdir()] == [name]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "sub"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("No space left (os error 28)")]
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: Exception) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(VireidError, match=r"file: no space left on the device; free some"), atomic_path(target) as path:
        _write_half(path, error)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_other_failures_pass_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_path(tmp_path / "file") as path:
        _write_half(path, KeyError())
    assert list(tmp_path.iterdir()) == []


def test_json_is_an_object_of_finite_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": [1, 2.5]})
    assert read_json(path, "numbers") == {"a": [1, 2.5]}
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": [1, 2.5]}
    for text, what in (("[1]", "a JSON list"), ("{", "not JSON")):
        path.write_text(text)
        with pytest.raises(VireidError, match=what):
            read_json(path, "numbers")
    with pytest.raises(VireidError, match="expected numbers"):
        read_json(tmp_path / "none", "numbers")


def test_a_disk_error_says_what_to_do() -> None:
    assert "may write to" in str(disk_error(OSError(errno.EACCES, "Permission denied"), Path("x")))


def _fill(target: Path, key: str, error: BaseException | None = None) -> list[str]:
    with resumable_folder(target, key) as folder:
        (folder / key).touch()
        if error:
            raise error
    return sorted(p.name for p in target.iterdir())


def test_a_resumable_folder_keeps_what_an_interrupted_attempt_made(tmp_path: Path) -> None:
    target = tmp_path / "set"
    for key in ("a", "b"):
        with pytest.raises(KeyboardInterrupt):
            _fill(target, key, KeyboardInterrupt())
    assert sorted(p.name for p in tmp_path.iterdir()) == [".set.a", ".set.b"]
    (tmp_path / ".set.a" / "more").touch()
    assert _fill(target, "a") == ["a", "more"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".set.b", "set"]


def test_a_resumable_folder_is_filled_by_one_at_a_time(tmp_path: Path) -> None:
    with resumable_folder(tmp_path / "set", "a"), pytest.raises(VireidError, match="set: another process is writing"):
        _fill(tmp_path / "set", "a")
    assert _fill(tmp_path / "other", "a") == ["a"]


def test_a_resumable_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VireidError, match="file/set: cannot write"):
        _fill(tmp_path / "file" / "set", "a")
