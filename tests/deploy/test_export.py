"""An export gives the run's features, refuses to be another one, and appears whole or not at all."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch

from tests.reference.resnet import torchvision_state
from vireid.cli import main
from vireid.deploy import export
from vireid.deploy.card import write_card
from vireid.deploy.export import export_run
from vireid.deploy.exported import OnnxEmbedder
from vireid.deploy.load import load_model
from vireid.deploy.run import RunEmbedder
from vireid.figures.heatmaps import response_map
from vireid.runs.evaluation import evaluate
from vireid.runs.features import write_features
from vireid.studies.robustness import score_models
from vireid.training.checkpoint import load_run
from vireid.types import Modality, VireidError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 48, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("modality", Modality)
def test_an_export_gives_the_runs_features_and_responses(run: Path, exported: Path, modality: Modality) -> None:
    ours, theirs = load_model(run), load_model(exported, threads=1)
    assert isinstance(ours, RunEmbedder)
    assert isinstance(theirs, OnnxEmbedder)
    for name in ("name", "fingerprint", "dimension", "height", "width"):
        assert getattr(ours, name) == getattr(theirs, name)
    for count in (0, 1, 5):
        found = theirs.embed(IMAGES[:count], modality)
        assert found.shape == (count, ours.dimension)
        np.testing.assert_allclose(found, ours.embed(IMAGES[:count], modality), atol=1e-4)
        responses = theirs.response(IMAGES[:count], modality)
        np.testing.assert_allclose(responses, ours.response(IMAGES[:count], modality), atol=1e-3)
    assert responses.min() == 0
    assert responses.max() == 1


def test_response_of_one_branch_is_the_figures_response_map(run: Path) -> None:
    from vireid.deploy.run import branch_response

    maps = torch.rand(2, 6, 4, 3)
    torch.testing.assert_close(branch_response((maps,)), response_map(maps))


def test_modalities_have_graphs_of_their_own(exported: Path) -> None:
    model = load_model(exported)
    first, second = (model.embed(IMAGES, modality) for modality in Modality)
    assert (first * second).sum(1).max() < 0.999


def test_nothing_of_this_machine_is_in_the_graph(run: Path, exported: Path) -> None:
    content = (exported / "visible.onnx").read_bytes()
    assert str(Path(export.__file__).parent).encode() not in content
    assert str(run.parent).encode() not in content + (exported / "export.json").read_bytes()


def test_fingerprint_follows_weights_and_what_shapes_the_feature(run: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from vireid.deploy.run import model_fingerprint

    loaded = load_run(run)
    before = model_fingerprint(loaded)
    data = replace(loaded.recipe.data, height=64)
    assert model_fingerprint(replace(loaded, recipe=replace(loaded.recipe, data=data))) != before
    schedule = replace(loaded.recipe.schedule, epochs=9)
    assert model_fingerprint(replace(loaded, recipe=replace(loaded.recipe, schedule=schedule))) == before
    with torch.no_grad():
        next(loaded.network.parameters())[0, 0, 0, 0] += 1e-3
    assert model_fingerprint(loaded) != before


def test_a_run_of_version_0_1_keeps_names_and_fingerprint(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "run"
    shutil.copytree(run, old)
    info = json.loads((old / "run.json").read_text())
    del info["recipe"]["model"]["options"], info["recipe"]["model"]["padding"]
    del info["recipe"]["model"]["weakening"]["detach"]
    (old / "run.json").write_text(json.dumps(info))
    names = {f"{place}.{name}" for name in torchvision_state("resnet18", 8) for place in _places(name)}
    heads = {
        "bnneck": ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"],
        "classifier": ["weight"],
    }
    names |= {f"branches.{b}.{part}.{name}" for b in range(2) for part, of in heads.items() for name in of}
    tensors = safetensors.torch.load_file(old / "model.safetensors")
    assert {name.removeprefix(".") for name in names} == set(tensors)
    recipe = info["recipe"]
    model = {name: value for name, value in recipe["model"].items() if name != "weights"}
    shape = {"height": recipe["data"]["height"], "width": recipe["data"]["width"], "model": model}
    state = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        state.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + value.numpy().tobytes())
    assert load_model(old).fingerprint == load_model(run).fingerprint == state.hexdigest()


def _places(name: str) -> list[str]:
    if name.startswith(("conv1", "bn1", "layer1")):
        return ["visible", "infrared"]
    return [] if name.startswith("fc") else ["branches.0", "branches.1"] if name.startswith("layer4") else [""]


def test_int8_reaches_its_cosine_by_leaving_blocks_in_float(run: Path, tmp_path: Path) -> None:
    folder, manifest = export_run(run, int8=True, out=tmp_path / "int8", cache=run.parent / "cache")
    for graph in manifest.graphs.values():
        assert graph.lowest >= 0.999
        kinds = {node.op_type for node in onnx.load(folder / graph.file).graph.node}
        assert "QuantizeLinear" in kinds
    ours, theirs = load_model(run), load_model(folder)
    assert ours.fingerprint == theirs.fingerprint
    assert (ours.embed(IMAGES, Modality.INFRARED) * theirs.embed(IMAGES, Modality.INFRARED)).sum(1).min() > 0.97


def test_embed_writes_the_same_features_from_run_and_export(run: Path, exported: Path, tmp_path: Path) -> None:
    found = []
    for name, model in (("run", run), ("export", exported)):
        write_features(model, run.parent / "set", tmp_path / f"{name}.npz", flip=True)
        with np.load(tmp_path / f"{name}.npz") as arrays:
            found.append(dict(arrays))
    assert found[0].keys() == found[1].keys()
    np.testing.assert_array_equal(found[0]["paths"], found[1]["paths"])
    np.testing.assert_allclose(found[0]["embeddings"], found[1]["embeddings"], atol=1e-4)


def test_features_too_far_off_leave_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(export.LOWEST, "float32", 1.1)
    with pytest.raises(VireidError, match="lowest cosine"):
        export_run(run, out=tmp_path / "out", cache=run.parent / "cache")
    assert list(tmp_path.iterdir()) == []


def test_an_export_never_replaces_anything_else(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(VireidError, match="not an export"):
        export_run(run, out=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "kept"


def _edit(name: str, value: object) -> object:
    def change(folder: Path) -> None:
        content = json.loads((folder / "export.json").read_text())
        content[name] = value
        (folder / "export.json").write_text(json.dumps(content))

    return change


def _truncate(folder: Path) -> None:
    path = folder / "visible.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def _record(folder: Path, content: bytes) -> None:
    """Put other bytes in the place of a graph, with their checksum."""
    import hashlib

    (folder / "visible.onnx").write_bytes(content)
    manifest = json.loads((folder / "export.json").read_text())
    manifest["graphs"]["visible"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "export.json").write_text(json.dumps(manifest))


def _outside(folder: Path) -> None:
    model = onnx.load(folder / "visible.onnx")
    onnx.external_data_helper.convert_model_to_external_data(model, location="w.bin", size_threshold=0)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../secret.bin"
        tensor.ClearField("raw_data")
    (folder.parent.parent / "secret.bin").write_bytes(b"0" * 10_000_000)
    _record(folder, model.SerializeToString())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_truncate, "SHA-256 differs"),
        (lambda folder: (folder / "infrared.onnx").unlink(), "infrared.onnx"),
        (lambda folder: (folder / "export.json").write_text("{"), "not JSON"),
        (_edit("fingerprint", "0" * 64), "other metadata"),
        (_edit("dimension", -1), "dimension"),
        (_edit("graphs", {"visible": {"file": "../x.onnx"}}), "graphs.visible.file"),
        (lambda folder: _record(folder, b"not a graph"), "not a graph"),
        (lambda folder: _record(folder, (folder / "infrared.onnx").read_bytes()), "other metadata"),
        (_outside, "visible.onnx: not a graph"),
    ],
)
def test_a_changed_export_is_refused_in_one_line(exported: Path, tmp_path: Path, change: object, named: str) -> None:
    folder = tmp_path / "a" / "copy"
    shutil.copytree(exported, folder)
    change(folder)  # type: ignore[operator]
    with pytest.raises(VireidError, match=named) as error:
        load_model(folder)
    assert "\n" not in str(error.value)


def test_what_is_no_model_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="no such file or folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(VireidError, match="neither"):
        load_model(tmp_path)
    shutil.copy(run / "run.json", tmp_path)
    with pytest.raises(VireidError, match="did not finish"):
        load_model(tmp_path)
    with pytest.raises(VireidError, match="--data"):
        export_run(run, data=tmp_path / "moved", out=tmp_path / "out")


def test_images_of_another_size_are_refused(exported: Path) -> None:
    with pytest.raises(VireidError, match="resize"):
        load_model(exported).embed(IMAGES[:, :-1], Modality.VISIBLE)


def test_the_card_states_data_numbers_limits_and_use(run: Path, exported: Path) -> None:
    text = write_card(run).read_text()
    for heading in ("Data", "Numbers", "Limits", "Intended use", "Ethics", "Model"):
        assert f"## {heading}" in text
    assert load_model(run).fingerprint in text
    assert "lowest" in (exported / "README.md").read_text()


def test_an_export_is_evaluated_like_its_run(
    run: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(run.parent / "cache"))
    folder = tmp_path / "onnx"
    shutil.copytree(exported, folder)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(folder), "--data", str(run.parent / "set"), "--flip", "--against", str(run), "--json"])
    assert not ended.value.code
    printed = json.loads(capsys.readouterr().out)
    kept = json.loads((folder / "evaluation" / "set" / "results.json").read_text())
    assert kept == printed
    own = evaluate([run], run.parent / "set", flip=True, cache=run.parent / "cache").to_dict()
    plain = [line for line in own["results"] if line["feature"] == "after BNNeck"]  # an export has no other
    assert [line["name"] for line in kept["results"]] == [line["name"] for line in plain]
    for ours, theirs in zip(plain, kept["results"], strict=True):
        assert theirs | {name: ours[name] for name in ("mean", "intervals", "per_trial", "cmc")} == ours | {
            "worst_quantiles": theirs["worst_quantiles"]
        }
        assert theirs["mean"] == pytest.approx(ours["mean"], abs=0.05)
    state = kept["runs"][0]
    assert state["device"] == "ONNX Runtime, CPU"
    assert {k: state[k] for k in ("name", "layout", "trial", "seed", "git", "versions")} == {
        k: own["runs"][0][k] for k in ("name", "layout", "trial", "seed", "git", "versions")
    }
    page = re.sub(r"\s*<[^>]+>\s*", "|", (folder / "evaluation" / "set" / "report.html").read_text())
    assert "Trained on 3 identities, tested on 3 it never saw" in page
    assert "|response|" in page  # a heat map; of a run every stage has one
    assert kept["against"]["run"] == "run (fp32)"


def test_results_of_exports_are_not_pooled(run: Path, exported: Path) -> None:
    with pytest.raises(VireidError, match="not a run; results of runs alone are pooled"):
        evaluate([run, exported], run.parent / "set", cache=run.parent / "cache")


def test_an_export_is_scored_under_corruption(run: Path, exported: Path, tmp_path: Path) -> None:
    ours, theirs = score_models([run, exported], run.parent / "set", tmp_path)
    assert [ours.run, theirs.run] == ["run", "onnx"]
    assert theirs.clean.keys() == ours.clean.keys()
    for name, corrupted in ours.corrupted.items():
        for kind, levels in corrupted.items():
            for one, other in zip(levels, theirs.corrupted[name][kind], strict=True):
                assert one["map"] == pytest.approx(other["map"], abs=0.1)
