"""Embedding by an export against PyTorch float32 eager in the same run: two branches, ResNet-50, DFW, 288 x 144.

    python benchmarks/search_embedding.py                            speed, random weights, two threads
    python benchmarks/search_embedding.py --run runs/NAME --data SET  rank-1 and mAP of each format of a trained run

Prints markdown tables. The ways take turns, a few calls each. Wall time is what a user waits; processor time of one
thread is what remains comparable on a busy machine (--threads 1).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vireid.data.augment import normalise
from vireid.data.layouts import open_dataset, open_pixels
from vireid.deploy.embedder import Embedder, embed_samples
from vireid.deploy.export import export_run
from vireid.deploy.graph import to_onnx
from vireid.deploy.load import load_model
from vireid.deploy.quantise import quantise
from vireid.deploy.session import features_of, open_session
from vireid.evaluation.protocols import settings_for
from vireid.evaluation.results import score_setting
from vireid.models.network import TwoStreamNetwork
from vireid.recipes import load_recipe
from vireid.training.checkpoint import load_run
from vireid.training.device import describe
from vireid.training.features import network_features
from vireid.training.split import unseen
from vireid.types import FeatureKind, Modality

HEIGHT, WIDTH = 288, 144
BLOCK = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch and of ONNX Runtime")
    parser.add_argument("--repeat", type=int, default=30, help="turns at batch 1; a fifth of them at batch 16")
    parser.add_argument("--run", type=Path, help="a trained run: its accuracy in every format instead of the speed")
    parser.add_argument("--data", type=Path, help="the run's data set")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.run:
        print(accuracy(options.run, options.data))
    else:
        print(
            f"{describe(torch.device('cpu'))}, PyTorch {torch.__version__}\n\n{speed(options.threads, options.repeat)}"
        )


def speed(threads: int, repeat: int) -> str:
    """A table of milliseconds and ratios."""
    images = np.random.default_rng(0).integers(0, 256, (16, HEIGHT, WIDTH, 3), dtype=np.uint8)
    network = calibrated(images)
    graph = to_onnx(network, Modality.VISIBLE, HEIGHT, WIDTH)
    expected = features_of(open_session(graph.SerializeToString(), threads), images)
    small = quantise(
        graph, images, images, expected, lowest=-1
    )  # speed alone: the cosine of random weights says little
    sessions = {
        "ONNX float32": open_session(graph.SerializeToString(), threads),
        "ONNX int8": open_session(small.model.SerializeToString(), threads),
    }
    lines = ["| | batch | wall, median ms | ratio | processor, least ms | ratio |", "|---|---|---|---|---|---|"]
    for batch, turns in ((1, repeat), (16, max(2, repeat // 5))):
        part = images[:batch]
        jobs: dict[str, Callable[[], object]] = {"PyTorch float32": partial(eager, network, part)}
        for name, session in sessions.items():
            jobs[name] = partial(features_of, session, part)
        times = in_blocks(jobs, turns)
        wall, busy = (
            {name: kind(t[i] for t in ts) for name, ts in times.items()} for i, kind in ((0, _median), (1, min))
        )
        for name in jobs:
            ratios = [of["PyTorch float32"] / of[name] for of in (wall, busy)]
            lines.append(
                f"| {name} | {batch} | {1000 * wall[name]:.1f} | {ratios[0]:.2f} "
                f"| {1000 * busy[name]:.1f} | {ratios[1]:.2f} |"
            )
    return "\n".join(lines)


def calibrated(images: np.ndarray) -> TwoStreamNetwork:
    """The full method with random weights and the batch statistics of the images."""
    torch.manual_seed(0)
    network = TwoStreamNetwork(load_recipe("sysu-dfw").model, classes=395)
    for part in network.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.momentum = None
    with torch.no_grad():
        batch = normalise(torch.from_numpy(images[:8]).permute(0, 3, 1, 2))
        network(batch[:4], batch[4:])
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@torch.inference_mode()
def eager(network: TwoStreamNetwork, images: np.ndarray) -> None:
    """One batch in PyTorch, in the memory layout that vireid uses."""
    batch = normalise(torch.from_numpy(images).permute(0, 3, 1, 2))
    network(batch.contiguous(memory_format=torch.channels_last), None)


def in_blocks(jobs: dict[str, Callable[[], object]], turns: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of every job, which take turns in blocks of `BLOCK` after one that does not count.

    A service runs one model: within a block no way meets the threads of another, which spin for a while after their
    turn; between blocks other work on the machine meets all of them alike.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(-(-turns // BLOCK)):
        for name, job in jobs.items():
            job()
            for _ in range(BLOCK):
                start = time.perf_counter(), time.process_time()
                job()
                times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return times


def _median(values: object) -> float:
    return float(np.median(list(values)))  # type: ignore[call-overload]


def accuracy(folder: Path, data: Path) -> str:
    """A table of rank-1 and mAP by format, and how far int8 is from PyTorch."""
    run = load_run(folder)
    dataset = unseen(open_dataset(data, run.info["trial"] or 1), run.info)
    store = open_pixels(dataset, dataset.test, run.recipe.data)
    found = {"PyTorch float32": network_features(run.network, store, dataset.test)[FeatureKind.AFTER_BNNECK]}
    with tempfile.TemporaryDirectory() as place:
        models: dict[str, Embedder] = {}
        for name, int8 in (("ONNX float32", False), ("ONNX int8", True)):
            models[name] = load_model(export_run(folder, int8=int8, out=Path(place) / name, data=data)[0])
        found |= {name: embed_samples(model, store, dataset.test)[model.kinds[0]] for name, model in models.items()}
    lines = ["| setting | format | rank-1 | mAP |", "|---|---|---|---|"]
    for setting in settings_for(dataset):
        for name, features in found.items():
            mean = score_setting(features, setting).mean
            lines.append(f"| {setting.name} | {name} | {100 * mean['rank1']:.2f} | {100 * mean['map']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
