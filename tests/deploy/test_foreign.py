"""Models from elsewhere are what their card makes of them, work wherever a run works, and are hostile until checked."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.deploy.graphs import DIMENSION, HEIGHT, MATRIX, WIDTH, expected, graph
from tests.gallery.galleries import picture
from tests.trees import write_folder
from vireid.cli import main
from vireid.deploy import foreign_onnx
from vireid.deploy.input_card import InputCard
from vireid.deploy.load import load_model
from vireid.runs.evaluation import evaluate
from vireid.types import FeatureKind, Modality, VireidError

IMAGES = np.random.default_rng(1).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
CARD: dict[str, Any] = {"height": HEIGHT, "width": WIDTH, "scale": 1 / 255}
VISIBLE, INFRARED = Modality


def saved(folder: Path, model: onnx.ModelProto, card: dict[str, Any] | None = None, name: str = "model.onnx") -> Path:
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / name)
    if card is not None:
        (folder / f"{name}.json").write_text(json.dumps(card))
    return folder / name


@pytest.mark.parametrize(
    ("kind", "card", "values"),
    [
        ({}, {}, {}),
        ({"layout": "nhwc"}, {"layout": "nhwc"}, {}),
        ({}, {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}, {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}),
        ({}, {"scale": 1, "mean": [104, 117, 123]}, {"scale": 1, "mean": [104, 117, 123]}),
        ({"dtype": "uint8"}, {"scale": None}, {"scale": 1}),
        ({"dtype": "float16"}, {}, {}),
        ({"batch": 2}, {}, {}),
        ({"batch": 1}, {}, {}),
        ({"pooled": True}, {}, {}),
    ],
)
def test_a_graph_sees_what_its_card_says(
    tmp_path: Path, kind: dict[str, Any], card: dict[str, Any], values: dict[str, Any]
) -> None:
    model = load_model(saved(tmp_path, graph(**kind), CARD | card))
    assert (model.dimension, model.height, model.width, model.name) == (DIMENSION, HEIGHT, WIDTH, "model")
    for modality in Modality:
        for count in (0, 1, 5):
            found = model.embed(IMAGES[:count], modality)
            assert found.dtype == np.float32
            tolerance = 2e-3 if kind.get("dtype") == "float16" else 1e-5
            np.testing.assert_allclose(found, expected(IMAGES[:count], **values), atol=tolerance)
    mirrored = model.features(IMAGES, VISIBLE, flip=True)[FeatureKind.OUTPUT]
    np.testing.assert_allclose(mirrored, model.embed(IMAGES, VISIBLE), atol=1e-3)  # the mean colour has no sides


def test_channels_come_in_the_cards_order(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, graph(), CARD | {"channels": "bgr"}))
    np.testing.assert_allclose(model.embed(IMAGES, VISIBLE), expected(IMAGES[..., ::-1]), atol=1e-5)


def test_mirroring_averages_both_sides(tmp_path: Path) -> None:
    half = load_model(lambda images, _: images[:, :, : WIDTH // 2].mean((1, 2)) - 100, SIZE)
    left, right = (half.embed(np.ascontiguousarray(view), VISIBLE) for view in (IMAGES, IMAGES[:, :, ::-1]))
    mean = left + right
    found = half.features(IMAGES, VISIBLE, flip=True)[FeatureKind.OUTPUT]
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)


SIZE = {"height": HEIGHT, "width": WIDTH}
SIDES = {"input": {"visible": "rgb", "infrared": "ir"}}


@pytest.mark.parametrize(
    ("outputs", "card"),
    [(("v", "i"), {"output": {"visible": "v", "infrared": "i"}}), (("both",), {}), (("both",), {"output": "both"})],
)
def test_an_input_for_each_modality(tmp_path: Path, outputs: tuple[str, ...], card: dict[str, Any]) -> None:
    made = graph(("rgb", "ir"), outputs=outputs)
    model = load_model(saved(tmp_path, made, CARD | SIDES | card | {"mean": [0.1, 0.2, 0.3]}))
    for modality in Modality:
        wanted = expected(IMAGES, int(modality), mean=[0.1, 0.2, 0.3])
        np.testing.assert_allclose(model.embed(IMAGES, modality), wanted, atol=1e-5)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_graph_for_each_modality_in_a_folder(tmp_path: Path, suffix: str) -> None:
    saved(tmp_path, graph(("a",)), name="v.onnx")
    saved(tmp_path, graph(("b",), matrix=MATRIX + 1), name="i.onnx")
    card = CARD | {"file": {"visible": "v.onnx", "infrared": "i.onnx"}, "name": "two files"}
    (tmp_path / f"card.{suffix}").write_text(json.dumps(card))
    model = load_model(tmp_path)
    assert (model.name, model.home) == ("two files", tmp_path)
    for modality in Modality:
        np.testing.assert_allclose(model.embed(IMAGES, modality), expected(IMAGES, int(modality)), atol=1e-5)


def test_tensors_beside_the_graph_are_read_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = saved(tmp_path, graph(), CARD)
    plain = load_model(path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=80)
    outside = load_model(path)
    np.testing.assert_array_equal(outside.embed(IMAGES, VISIBLE), plain.embed(IMAGES, VISIBLE))
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[2] ^= 1
    (tmp_path / "weights.bin").write_bytes(weights)
    assert load_model(path).fingerprint != outside.fingerprint


def test_the_fingerprint_is_that_of_file_and_card(tmp_path: Path) -> None:
    first = load_model(saved(tmp_path / "a", graph(), CARD))
    assert load_model(saved(tmp_path / "b", graph(), CARD | {"name": "other"})).fingerprint == first.fingerprint
    assert load_model(saved(tmp_path / "a", graph(), CARD | {"channels": "bgr"})).fingerprint != first.fingerprint
    assert load_model(saved(tmp_path / "a", graph(matrix=MATRIX * 2), CARD)).fingerprint != first.fingerprint
    assert len(first.fingerprint) == 64


def mean_colour(images: np.ndarray[Any, Any], modality: Modality) -> torch.Tensor:
    return torch.from_numpy(images).double().mean((1, 2)) - 100 + int(modality)


mean_colour.card = SIZE  # type: ignore[attr-defined]


def test_a_python_function(tmp_path: Path) -> None:
    model = load_model(mean_colour)
    assert (model.name, model.dimension, model.info, model.responds) == ("mean_colour", 3, {}, False)
    rows = IMAGES.mean((1, 2), dtype=np.float64) - 99
    found = model.embed(IMAGES, INFRARED)
    np.testing.assert_allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)
    assert load_model(mean_colour, SIZE | {"version": "2"}).fingerprint != model.fingerprint
    assert load_model(mean_colour, InputCard(HEIGHT, WIDTH, name="x")).fingerprint == model.fingerprint
    assert load_model(model) is model
    by_name = load_model("tests.deploy.test_foreign:mean_colour")
    assert (by_name.fingerprint, by_name.source) == (model.fingerprint, "tests.deploy.test_foreign:mean_colour")
    with pytest.raises(VireidError, match="cannot tell where it responds"):
        model.response(IMAGES, VISIBLE)


def test_a_model_is_asked_for_few_images_at_a_time() -> None:
    counts: list[int] = []
    model = load_model(lambda images, _: counts.append(len(images)) or images.mean((1, 2)) + 1, SIZE)
    counts.clear()
    assert model.embed(np.repeat(IMAGES, 30, axis=0), VISIBLE).shape == (150, 3)
    assert counts == [64, 64, 22]


def run_command(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert not ended.value.code


def test_evaluate_a_graph_like_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    root = write_folder(tmp_path / "people", ["a", "b", "c"], images=3, size=(HEIGHT, WIDTH))
    path = saved(tmp_path, graph(), CARD)
    run_command("evaluate", path, "--data", root, "--flip", "--rerank")
    out, err = capsys.readouterr()
    assert "training identities are unknown" in err
    assert "training identities are unknown" in " ".join(out.split())
    content = json.loads((tmp_path / "model" / "evaluation" / "people" / "results.json").read_text())
    assert {line["feature"] for line in content["results"]} == {"model output"}
    assert {line["checkpoint_rule"] for line in content["results"]} == {"unknown"}
    assert all(any("identities are unknown" in w for w in line["warnings"]) for line in content["results"])
    assert len(content["results"]) == 2 * 2 * 2 + 1  # directions, flips, ways of ranking; the mixed search
    assert content["runs"] == [
        {"name": "model", "precision": "unknown", "device": "ONNX Runtime, CPU"}
        | dict.fromkeys(("layout", "trial", "seed", "git", "versions"))
    ]
    page = (tmp_path / "model" / "evaluation" / "people" / "report.html").read_text()
    assert 'id="ranked"' in page
    assert 'id="heatmaps"' not in page
    assert "ested on 3 identities" in page
    assert not (tmp_path / "model" / "README.md").exists()


def test_a_function_gets_the_numbers_of_its_features(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "people", ["a", "b", "c", "d"], images=3, size=(HEIGHT, WIDTH))
    people = {}

    def knows(images: np.ndarray[Any, Any], modality: Modality) -> np.ndarray[Any, Any]:
        return np.eye(4)[[people.get(image.tobytes(), 0) for image in images]]

    with pytest.warns(UserWarning, match="knows: training identities are unknown"):
        evaluation = evaluate([load_model(knows, SIZE)], root, cache=tmp_path / "cache")
    for row, sample in enumerate(evaluation.dataset.test):
        image = evaluation.store.batch(np.array([row]))[0].permute(1, 2, 0).numpy()
        people[np.ascontiguousarray(image).tobytes()] = sample.identity - 1
    with pytest.warns(UserWarning, match="unknown"):
        better = evaluate([load_model(knows, SIZE)], root, cache=tmp_path / "cache")
    assert better.results[0].mean["map"] == 1 > evaluation.results[0].mean["map"]


def test_a_gallery_remembers_a_graph_and_never_a_function(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, graph(), CARD)
    for name, colour in (("a", (250, 10, 10)), ("b", (10, 250, 10)), ("c", (10, 10, 250))):
        (tmp_path / f"{name}.png").write_bytes(picture(colour))
    pictures = [tmp_path / f"{name}.png" for name in "abc"]
    run_command("gallery", "add", tmp_path / "yard", *pictures, "--model", path, "--modality", "visible")
    capsys.readouterr()
    run_command("gallery", "search", tmp_path / "yard", pictures[1], "--modality", "infrared", "--json")
    found = json.loads(capsys.readouterr().out)["matches"]
    assert found[0]["entry"]["name"].endswith("b.png")
    assert found[0]["score"] == pytest.approx(1, abs=1e-3)

    function = "tests.deploy.test_foreign:mean_colour"
    words = ["--modality", "visible", "--model", function]
    with pytest.raises(SystemExit):
        main(["gallery", "search", str(tmp_path / "yard"), str(pictures[0]), *words])
    assert "holds vectors of model" in capsys.readouterr().err
    run_command("gallery", "add", tmp_path / "other", *pictures, *words)
    run_command("gallery", "search", tmp_path / "other", pictures[0], *words)
    capsys.readouterr()
    with pytest.raises(SystemExit):  # a gallery may come from anywhere: what it names is not imported
        main(["gallery", "search", str(tmp_path / "other"), str(pictures[0]), "--modality", "visible"])
    assert f"its model is not at {function}; name it with --model" in capsys.readouterr().err


def test_embed_writes_what_the_model_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    path = saved(tmp_path, graph(), CARD)
    (tmp_path / "a.png").write_bytes(picture((250, 10, 10), size=(WIDTH, HEIGHT)))
    run_command("embed", path, tmp_path / "a.png", tmp_path / "f.npz", "--modality", "infrared")
    with np.load(tmp_path / "f.npz") as arrays:
        colour = np.full((1, HEIGHT, WIDTH, 3), (250, 10, 10), np.uint8)
        np.testing.assert_allclose(arrays["embeddings"], expected(colour), atol=1e-5)


def _symlinked(folder: Path) -> None:
    shutil.move(folder / "model.onnx", folder.parent / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere.onnx")


def _external(location: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder.parent / "secret.bin").write_bytes(b"0" * 10_000)
        model = onnx.load(folder / "model.onnx")
        onnx.external_data_helper.convert_model_to_external_data(model, location="w.bin", size_threshold=0)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
            tensor.ClearField("raw_data")
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return change


def _inner(folder: Path) -> None:
    """Tensors outside, named in a constant of an inner graph, where only a walk through everything finds them."""
    tensor = onnx.TensorProto(data_type=onnx.TensorProto.FLOAT, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret.bin")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    branch = onnx.helper.make_graph([constant], "b", [], [onnx.helper.make_tensor_value_info("c", 1, [1])])
    model = onnx.load(folder / "model.onnx")
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def _card(**fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / "card.json").read_text()) | fields
        kept = {name: value for name, value in content.items() if value is not None}
        (folder / "card.json").write_text(json.dumps(kept))

    return change


def _text(text: str, name: str = "card.json") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "card.json").unlink()
        (folder / name).write_text(text)

    return change


def _graph(**kind: Any) -> Callable[[Path], None]:
    return lambda folder: onnx.save(graph(**kind), folder / "model.onnx")


BOMB = "a: &a [1,1]\nb: &b [*a,*a]\nheight: *b\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_card(height=None), "card.json: height: field required"),
        (_card(height=4), "height: input should be greater than or equal to 8"),
        (_card(height=10**9), "height: input should be less than or equal to 2048"),
        (_card(height=True), "height: input should be a valid integer"),
        (_card(size=3), "size: unexpected"),
        (_card(mean=[1, 2]), "mean.2: field required"),
        (_card(std=[1, 0, 1]), "std.1: input should be greater than 0"),
        (_card(scale=None), "give scale, or mean and std in the card"),
        (_card(name="a\nb"), "name: string should match"),
        (_card(height=64), "the card says"),
        (_card(layout="nhwc"), "the card says"),
        (_card(input="x"), "has no input x; expected one of images"),
        (_card(output="x"), "has no output x; expected one of features"),
        (_card(output={"visible": "features"}), "output: expected one name, or one for visible and one for infrared"),
        (_card(file="../elsewhere.onnx"), "lies outside the folder"),
        (_card(file="/etc/passwd"), "lies outside the folder"),
        (_card(file="a\0b"), "lies outside the folder"),
        (_card(file="gone.onnx"), "gone.onnx: expected an ONNX graph"),
        (_card(file="."), "expected an ONNX graph"),
        (_symlinked, "lies outside the folder"),
        (_text("{"), "card.json: not JSON"),
        (_text("[]"), "not a card"),
        (_text("[" * 50_000), "not JSON"),
        (_text('{"height": NaN}'), "height: input should be"),
        (_text(" " * 70_000), "at most 65536 bytes"),
        (_text(BOMB, "card.yaml"), "aliases are not read"),
        (_text("[" * 5000, "card.yaml"), "not YAML"),
        (_text("height: 2024-13-45", "card.yaml"), "not YAML"),
        (_text("height: !!python/object/apply:os.system [ls]", "card.yaml"), "not YAML"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"not a graph"), "not a graph"),
        (lambda folder: (folder / "model.onnx").write_bytes(b""), "not a graph"),
        (_external("../secret.bin"), "outside its folder"),
        (_external("/etc/passwd"), "outside its folder"),
        (_external("*/_ORT_MEM_ADDR_/*"), "expected the tensors"),
        (_external("a\0b"), "outside its folder"),
        (_external("gone.bin"), "gone.bin: expected the tensors of model.onnx"),
        (_inner, "outside its folder"),
        (_graph(inputs=("a", "b")), "has 2 inputs; expected one of a, b as input in the card"),
        (_graph(dtype="uint8"), "leave scale, mean and std out"),
        (_graph(inputs=("a", "b"), outputs=("v", "i")), "has 2 inputs"),
        (_graph(matrix=MATRIX * np.nan), "features that are not finite"),
        (_graph(matrix=np.zeros((3, 0), np.float32)), "expected as many for both, 1 to 32768"),
    ],
)
def test_a_hostile_folder_is_refused_in_one_line(tmp_path: Path, change: Callable[[Path], None], said: str) -> None:
    folder = tmp_path / "model"
    saved(folder, graph())
    (folder / "card.json").write_text(json.dumps(CARD))
    assert load_model(folder).dimension == DIMENSION
    change(folder)
    with pytest.raises(VireidError) as error:
        load_model(folder)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 700


def test_a_pipe_is_no_graph_and_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, graph(), CARD)
    monkeypatch.setattr(foreign_onnx, "MAX_GRAPH", 10)
    with pytest.raises(VireidError, match="at most 10 bytes"):
        load_model(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(VireidError, match="expected"):
        load_model(path)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda images, modality: images.mean(), "features of shape"),
        (lambda images, modality: images[:1].mean((1, 2)), r"features of shape \(1, 3\) for 2 visible images"),
        (lambda images, modality: np.ones((len(images), 2 + modality)), "2 numbers for visible and 3 for infrared"),
        (lambda images, modality: np.full((len(images), 2), np.inf), "not finite"),
        (lambda images, modality: {}["no"], "fails on 2 visible images"),
        (lambda images, modality: "text", "fails on 2 visible images"),
        (lambda images: images, "fails on 2 visible images"),
    ],
)
def test_a_bad_function_is_refused_in_one_line(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(VireidError, match=said) as error:
        load_model(function, SIZE)
    assert "\n" not in str(error.value)


def test_what_is_no_model_says_what_is(tmp_path: Path, run: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"")
    for model, said in (
        (tmp_path / "nowhere", "no such file or folder"),
        (tmp_path / "model.pt", "not an .onnx file"),
        (saved(tmp_path, graph()), "no card model.onnx.json beside it"),
        (tmp_path, "neither run.json nor export.json nor a card in it"),
        ("no.such:thing", "cannot import no.such"),
        ("tests.deploy.test_foreign:nothing", "has no nothing"),
        ("tests.deploy.test_foreign:HEIGHT", "expected a function of images and modality"),
        ("tests.deploy.test_foreign:saved", "card of tests.deploy.test_foreign:saved: missing; give height and width"),
        (lambda *_: 0, "missing; give height and width"),
    ):
        with pytest.raises(VireidError, match=said) as error:
            load_model(model)
        assert "\n" not in str(error.value)
    with pytest.raises(VireidError, match="leave the card out"):
        load_model(run, SIZE)
    with pytest.raises(VireidError, match="mean: unexpected"):
        load_model(mean_colour, SIZE | {"mean": [0, 0, 0]})
    assert "no.such" not in sys.modules
