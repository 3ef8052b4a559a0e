"""Tokens: stored as hashes, one file that two commands may change at a time."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vireid.cli import main
from vireid.service.tokens import Caller, Role, Tokens, state_folder
from vireid.types import VireidError


def test_a_token_is_known_by_its_text_which_is_stored_nowhere(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path, session="here")
    text = tokens.add("alice", Role.WRITE, 30)
    assert tokens.caller(text) == Caller("alice", Role.WRITE)
    assert tokens.caller("here") == Caller("session", Role.ADMIN)
    assert isinstance(tokens.caller(text + "x"), str)
    assert isinstance(tokens.caller("\ud800"), str)
    file = tmp_path / "tokens.json"
    assert text not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Tokens(tmp_path).caller("here") != Caller("session", Role.ADMIN)


def test_names_and_days_are_checked(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.add("a", Role.SEARCH, 1)
    for name, days, word in (("a", 1, "exists"), ("session", 1, "session"), ("b c", 1, "letters"), ("b", 0, "days")):
        with pytest.raises(VireidError, match=word):
            tokens.add(name, Role.SEARCH, days)
    with pytest.raises(VireidError, match="not found"):
        tokens.revoke("b")
    assert [token.name for token in tokens.stored()] == ["a"]


def test_commands_at_the_same_time_lose_no_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: Tokens(tmp_path).add(f"t{row}", Role.SEARCH, 1), range(24)))
    assert len(Tokens(tmp_path).stored()) == 24


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tokens": [{"name": "a"}]}', '{"tokens": 3}'])
def test_a_damaged_file_is_an_error_and_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens.json").write_text(content)
    with pytest.raises(VireidError, match=r"tokens\.json"):
        Tokens(tmp_path).caller("x")


def test_a_server_s_tokens_lie_with_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder("http://user:secret@milvus:19530/people") == tmp_path / "vireid" / "milvus-19530-people"
    with pytest.raises(VireidError, match="no gallery"):
        state_folder(str(tmp_path / "typo"))


def test_commands_create_list_and_revoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as exit_:
            main(["token", *arguments])
        assert exit_.value.code == 0
        return capsys.readouterr().out

    text = run("add", str(tmp_path), "alice", "--role", "admin", "--days", "7").strip()
    assert Tokens(tmp_path).caller(text) == Caller("alice", Role.ADMIN)
    listed = run("list", str(tmp_path))
    assert "alice" in listed
    assert "admin" in listed
    assert text not in listed
    run("revoke", str(tmp_path), "alice")
    assert json.loads((tmp_path / "tokens.json").read_text()) == {"tokens": []}
