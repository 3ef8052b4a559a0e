"""Scoring a .npz of features: the numbers, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reference.metrics import loop
from tests.reference.reranking import k_reciprocal_distance
from vireid.evaluation import score_file
from vireid.types import VireidError


def arrays(seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((12, 16))
    ids = {"query": np.arange(40) % 12, "gallery": np.arange(30) % 10}
    found: dict[str, Any] = {}
    for side, cameras in (("query", (3, 6)), ("gallery", (1, 2, 4, 5))):
        rows = len(ids[side])
        noise = 1.5 * generator.standard_normal((rows, 16))
        found[f"{side}_features"] = (centres[ids[side]] + noise).astype(np.float32)
        found[f"{side}_ids"] = ids[side]
        found[f"{side}_cameras"] = generator.choice(cameras, rows)
    return found


def save(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "features.npz"
    np.savez(path, **content)
    return path


@pytest.mark.parametrize("protocol", ["sysu", "regdb", "llcm", "folder"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_numbers_equal_the_loop(tmp_path: Path, protocol: Any, dtype: Any) -> None:
    content = arrays()
    for side in ("query", "gallery"):
        content[f"{side}_features"] = content[f"{side}_features"].astype(dtype)
    found = score_file(save(tmp_path, content), protocol, ["k-reciprocal"])
    sides = [content[f"{side}_features"].astype(np.float64) for side in ("query", "gallery")]
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides]
    labels = [content[f"{side}_{kind}"] for kind in ("ids", "cameras") for side in ("query", "gallery")]
    for numbers, similarity in (
        (found, unit[0] @ unit[1].T),
        (found["beside"][0], -k_reciprocal_distance(*sides)),
    ):
        wanted = loop(similarity, *labels, protocol)
        assert numbers["map"] == pytest.approx(wanted.map)
        assert numbers["minp"] == pytest.approx(wanted.minp)
        assert [numbers[f"rank{rank}"] for rank in (1, 5, 10, 20)] == pytest.approx(
            [wanted.cmc[rank - 1] for rank in (1, 5, 10, 20)]
        )
        assert numbers["valid_queries"] == wanted.valid < 40
        if numbers is found:
            assert found["analysis"]["worst_ranks"] == (tuple(wanted.worst),)
    assert any("have no true match" in warning for warning in found["warnings"])


def test_cameras_may_be_absent_where_the_rule_ignores_them(tmp_path: Path) -> None:
    content = {name: array for name, array in arrays().items() if "cameras" not in name}
    path = save(tmp_path, content)
    with_cameras = score_file(save(tmp_path, arrays()), "regdb")
    path = save(tmp_path, content)
    assert [cell["query"] for cell in with_cameras["analysis"].pop("cameras")][::4] == ["camera 3", "camera 6"]
    assert score_file(path, "regdb") == with_cameras
    assert with_cameras["beside"] == []
    for protocol in ("sysu", "llcm"):
        with pytest.raises(VireidError, match="query_cameras: array missing"):
            score_file(path, protocol)  # type: ignore[arg-type]
    with pytest.raises(VireidError, match="query_cameras: array missing"):
        score_file(path, "regdb", ["camera-aware"])


def test_other_methods_stand_beside_the_plain_numbers(tmp_path: Path) -> None:
    path = save(tmp_path, arrays())
    plain = score_file(path, "sysu")
    methods = ("k-reciprocal", "query-expansion", "camera-aware")
    found = score_file(path, "sysu", methods)
    assert tuple(part["method"] for part in found["beside"]) == methods
    assert len({part["map"] for part in (plain, *found["beside"])}) == 4
    changed = ("warnings", "beside")
    assert {n: v for n, v in found.items() if n not in changed} == {n: v for n, v in plain.items() if n not in changed}
    assert any(warning.startswith("k-reciprocal, query-expansion, camera-aware: ") for warning in found["warnings"])
    assert any("one gallery: published numbers are means over the protocol's 10 trials" in w for w in plain["warnings"])
    for wanted, point in json.loads(json.dumps(plain["analysis"]["thresholds"])).items():
        assert point["false_match_rate"] <= float(wanted)
    assert any("the gallery ranks 10 entries" in w for w in plain["warnings"])
    assert plain["intervals"]["map"][0] < plain["map"] < plain["intervals"]["map"][1]


@pytest.mark.parametrize("kind", ["strings", "bytes", "floats"])
def test_identities_of_other_kinds(tmp_path: Path, kind: str) -> None:
    content = arrays()
    wanted = score_file(save(tmp_path, content), "sysu")
    for side in ("query", "gallery"):
        ids = content[f"{side}_ids"]
        names = np.array([f"person {i}" for i in ids])
        content[f"{side}_ids"] = {"strings": names, "bytes": names.astype("S"), "floats": ids * 1.0}[kind]
    assert score_file(save(tmp_path, content), "sysu") == wanted


def nan_at(row: int) -> Any:
    features = arrays()["query_features"]
    features[row, 2] = np.nan
    return features


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery_ids": None}, "gallery_ids: array missing"),
        ({"query_features": nan_at(7)}, "query_features: row 7 holds NaN or infinite"),
        ({"gallery_features": np.zeros((30, 16))}, "gallery_features: row 0 is all zeros"),
        ({"gallery_features": np.ones((30, 4))}, "gallery_features: 4 dimensions, query_features have 16"),
        ({"query_features": np.ones(40)}, r"query_features: expected floating-point \(n, d\)"),
        ({"query_features": np.ones((40, 16), int)}, "query_features: expected floating-point"),
        ({"query_ids": np.arange(39)}, r"query_ids: expected shape \(40,\)"),
        ({"query_ids": np.ones((40, 1), int)}, r"query_ids: expected shape \(40,\)"),
        ({"query_ids": np.full(40, "a")}, "gallery_ids: numbers, query_ids are strings"),
        ({"query_ids": np.full(40, 0.5)}, "query_ids: expected whole numbers or strings"),
        ({"query_ids": np.full(40, np.nan)}, "query_ids: expected whole numbers or strings"),
        ({"query_ids": np.array([1, "a"] * 20, dtype=object)}, r"cannot be read as \.npz"),
        ({"gallery_features": np.ones((0, 16))}, "gallery_features: no embeddings"),
        ({"query_cameras": np.full(40, "c1")}, "query_cameras: expected whole numbers, got strings"),
        ({"query_cameras": np.zeros(40, int)}, "query_cameras: row 0 is 0; SYSU-MM01 has cameras 1 to 6"),
        ({"query_ids": np.full(40, 77)}, "no query has a true match"),
    ],
)
def test_wrong_arrays(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {name: array for name, array in (arrays() | change).items() if array is not None}
    path = save(tmp_path, content)
    with pytest.raises(VireidError, match=message) as caught:
        score_file(path, "sysu")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="no such file"):
        score_file(tmp_path / "absent.npz", "sysu")
    with pytest.raises(VireidError, match="no such file"):
        score_file(tmp_path, "sysu")
    whole = save(tmp_path, arrays()).read_bytes()
    broken = tmp_path / "broken.npz"
    damaged = bytearray(whole)
    damaged[200] ^= 255
    for content in (b"", b"text", whole[: len(whole) // 2], bytes(damaged)):
        broken.write_bytes(content)
        with pytest.raises(VireidError, match=r"broken\.npz: (not a \.npz|cannot be read)"):
            score_file(broken, "sysu")
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(VireidError, match=r"not a \.npz"):
        score_file(tmp_path / "array.npy", "sysu")
    with pytest.raises(VireidError, match=r"protocol: unknown layout sysi; expected one of .*regdb.*did you mean sysu"):
        score_file(broken, "sysi")


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr':'<f4','fortran_order':False,'shape':(10000000,1000000)}",
        b"{'descr':'<f4','fortran_order':False,'shape':(99999999999999999999,3)}",
        b"{'descr':'<f4','fortran_order':False,'shape':(-1,3)}",
        b"{'descr':[('a',('<f4',))],'fortran_order':False,'shape':(1,3)}",
        b"{'descr':'zz','fortran_order':False,'shape':(1,3)}",
        b"(" * 300,
    ],
)
def test_headers_made_to_harm(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "hostile.npz"
    header += b"\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("query_features.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(VireidError, match=r"hostile\.npz: cannot be read as \.npz \(.*\); write plain arrays"):
        score_file(path, "sysu")


def test_other_arrays_in_the_file_are_never_opened(tmp_path: Path) -> None:
    content = arrays() | {"paths": np.array([{"an": "object"}], dtype=object)}
    assert score_file(save(tmp_path, content), "sysu")["queries"] == 40
