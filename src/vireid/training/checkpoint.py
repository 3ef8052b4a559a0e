"""Checkpoints and finished runs: tensors as safetensors, everything else as JSON, no pickle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from vireid.build import new_network
from vireid.config import Recipe
from vireid.files import atomic_path, read_json
from vireid.models.network import TwoStreamNetwork
from vireid.models.weights import read_tensors
from vireid.recipes import check_embedded_recipe, parse_recipe
from vireid.training.device import resolve_precision
from vireid.types import VireidError

MODEL, OPTIMIZER, STATE, RUN = "model.safetensors", "optimizer.safetensors", "state.json", "run.json"
LOSSES = "losses.safetensors"
"""Parameters and buffers of the objective, in checkpoints of runs that have some."""
MOMENTUM = "momentum_buffer"
INFO = (
    *("recipe", "seed", "layout", "trial", "fingerprint", "synthetic", "device", "precision", "versions", "git"),
    *("classes", "training_identities", "validation_identities", "training_images", "seen_folders", "data"),
    *("checkpoint_rule", "training_seconds"),
)
"""Fields of run.json that a finished run has."""


def save_checkpoint(
    run: Path,
    step: int,
    network: TwoStreamNetwork,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    keep: int,
    objective: nn.Module | None = None,
) -> None:
    """Write ``run/checkpoints/step-N`` atomically, then delete all but the newest ``keep``.

    Raises:
        VireidError: a tensor holds NaN or infinity (nothing is written), or the disk is full.
    """
    tensors, losses = portable(network.state_dict()), portable(objective.state_dict()) if objective else {}
    for name, value in {**tensors, **losses}.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise VireidError(f"{name}: NaN or infinity after step {step}; {way_out(run)}")
    names = {id(p): name for name, p in _parameters(network, objective)}
    moments = {
        names[id(p)] if key == MOMENTUM else f"{names[id(p)]}:{key}": value
        for p, state_of in optimizer.state.items()
        for key, value in state_of.items()
        if torch.is_tensor(value)
    }
    with atomic_path(run / "checkpoints" / f"step-{step:08d}") as folder:
        folder.mkdir()
        safetensors.torch.save_file(tensors, folder / MODEL)
        safetensors.torch.save_file(portable(moments), folder / OPTIMIZER)
        if losses:
            safetensors.torch.save_file(losses, folder / LOSSES)
        (folder / STATE).write_text(json.dumps({"step": step, **state}))
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)


def way_out(run: Path) -> str:
    """Say which checkpoint is left when training diverged, and what to do."""
    kept = f"the last good checkpoint is {checkpoints(run)[-1]}" if checkpoints(run) else "there is no checkpoint yet"
    return f"{kept}; lower schedule.lr or set training.clip and train into another --out"


def checkpoints(run: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted(p for p in (run / "checkpoints").glob("step-*") if (p / STATE).is_file())


def restore_checkpoint(
    folder: Path, network: TwoStreamNetwork, optimizer: torch.optim.Optimizer, objective: nn.Module | None = None
) -> dict[str, Any]:
    """Load weights and the optimiser's moments in place and return the saved state ("step": batches done)."""
    state = read_json(folder / STATE, "the state of a checkpoint")
    if not isinstance(state.get("step"), int) or not {"seconds", "scaler"} <= set(state):
        raise VireidError(f"{folder / STATE}: expected step, seconds and scaler; delete {folder} to use an older one")
    load_weights(network, folder / MODEL)
    if objective and objective.state_dict():
        load_weights(objective, folder / LOSSES)
    parameters = dict(_parameters(network, objective))
    for name, value in read_tensors(folder / OPTIMIZER).items():
        owner, _, key = name.partition(":")
        if owner in parameters:
            # Adam counts its steps in a scalar on the CPU
            place = value if key == "step" else value.to(parameters[owner])
            optimizer.state[parameters[owner]][key or MOMENTUM] = place
    return state


def _parameters(network: nn.Module, objective: nn.Module | None) -> Iterator[tuple[str, nn.Parameter]]:
    """All parameters by name."""
    yield from network.named_parameters()
    if objective:
        yield from ((f"objective.{name}", parameter) for name, parameter in objective.named_parameters())


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a whole network's tensors from safetensors.

    Raises:
        VireidError: missing, truncated, a pickle, or tensors of another architecture.
    """
    if path.suffix != ".safetensors":
        raise VireidError(f"{path}: expected a .safetensors file; pickled checkpoints are not read")
    tensors, expected = read_tensors(path), network.state_dict()
    for name, value in expected.items():
        if name not in tensors or tensors[name].shape != value.shape:
            found = f"shape {tuple(tensors[name].shape)}" if name in tensors else "no such tensor"
            raise VireidError(
                f"{path}: {name}: expected shape {tuple(value.shape)}, found {found}; this is a checkpoint of another "
                "architecture than its recipe's"
            )
    if extra := sorted(set(tensors) - set(expected)):
        raise VireidError(f"{path}: unexpected tensor {extra[0]}; this is a checkpoint of another architecture")
    network.load_state_dict(tensors)


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, recipe, network in evaluation mode, and ``run.json``.

    Examples:
        >>> import vireid
        >>> vireid.load_run("runs/tiny").info["training_images"]
        114
    """

    folder: Path
    recipe: Recipe
    network: TwoStreamNetwork
    info: dict[str, Any]

    @property
    def precision(self) -> str:
        """The recipe's precision on the device the network is on now."""
        return resolve_precision(self.recipe.training.precision, next(self.network.parameters()).device)


def load_run(folder: Path | str, device: torch.device | None = None) -> Run:
    """Load a run folder written by training.

    Raises:
        VireidError: not a run, not finished, or its weights do not fit its recipe.

    Examples:
        >>> import vireid
        >>> run = vireid.load_run("runs/tiny")  # of the example of `vireid.train`
        >>> run.recipe.name, run.info["layout"], run.network.training
        ('small', 'sysu', False)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise VireidError(f"{folder}: no such run; expected a folder that vireid train wrote")
    info = read_json(folder / RUN, "a run.json that vireid train wrote")
    if not (folder / MODEL).is_file():
        raise VireidError(f"{folder / MODEL}: missing; the run did not finish, continue it with vireid train --resume")
    if lacking := [name for name in INFO if name not in info]:
        raise VireidError(f"{folder / RUN}: {lacking[0]} is missing; expected the fields that vireid train writes")
    for name in ("training_identities", "validation_identities", "seen_folders"):
        if not isinstance(info[name], list):
            raise VireidError(f"{folder / RUN}: {name}: expected a list, got {info[name]!r}")
    recipe = parse_recipe(info["recipe"], f"{folder / RUN}: recipe")
    check_embedded_recipe(recipe, f"{folder / RUN}: recipe")
    if not isinstance(info["classes"], int) or not 1 <= info["classes"] <= 10_000_000:
        raise VireidError(f"{folder / RUN}: classes: expected a number of identities, got {info['classes']!r}")
    network = new_network(recipe.model, info["classes"], recipe.data.size)
    load_weights(network, folder / MODEL)
    # as in training: with mixed memory layouts every convolution would convert back and forth
    network.eval().to(device or torch.device("cpu"), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Run(folder, recipe, network, info)


def portable(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors stores them: on the CPU, contiguous."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
