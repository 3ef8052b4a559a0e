"""The training loop (Algorithm 1), interruptible at any batch and resumable bit for bit."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from vireid.config import Recipe
from vireid.data.augment import Augment
from vireid.data.pixels import PixelStore
from vireid.data.sampler import make_sampler
from vireid.losses.objective import Objective
from vireid.models.network import TwoStreamNetwork
from vireid.training.checkpoint import checkpoints, restore_checkpoint, save_checkpoint, way_out
from vireid.training.device import autocast, resolve_precision
from vireid.training.health import Probe, measure_health
from vireid.training.monitor import Monitor, read_metrics
from vireid.training.schedule import learning_rate, make_optimizer, set_learning_rate
from vireid.training.validation import Validation
from vireid.types import Modality, Sample, VireidError


@dataclass
class Loop:
    """State of a run between two batches; ``step`` counts batches done, ``seconds`` the time they took.

    Args:
        out: run folder.
        objective: what is minimised, with parameters of its own where a loss has some.
        samples: training samples, row i of ``store`` is sample i.
        validation: what to measure after each epoch, or None.
        probe: images on which the method's parts are measured after each epoch, or None.
    """

    recipe: Recipe
    out: Path
    network: TwoStreamNetwork
    objective: Objective
    samples: tuple[Sample, ...]
    store: PixelStore
    device: torch.device
    validation: Validation | None = None
    probe: Probe | None = None
    step: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        recipe, data = self.recipe, self.recipe.data
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective.to(self.device)
        self.modalities = np.array([s.modality for s in self.samples], dtype=np.int64)
        _, labels = np.unique([s.identity for s in self.samples], return_inverse=True)
        self.labels = torch.from_numpy(labels).to(self.device)
        self.sampler = make_sampler(data, labels, self.modalities, recipe.training.seed)
        self.steps_per_epoch = len(self.sampler)
        self.steps = recipe.schedule.epochs * self.steps_per_epoch
        self.augment = Augment.of(data)
        self.optimizer = make_optimizer(self.network, recipe.schedule, self.objective.parameters())
        self.precision = resolve_precision(recipe.training.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.forward = torch.compile(self.network) if recipe.training.compile else self.network

    def resume(self) -> None:
        """Continue from the newest checkpoint of the run folder, if there is one."""
        saved = checkpoints(self.out)
        if saved:
            state = restore_checkpoint(saved[-1], self.network, self.optimizer, self.objective)
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            if state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])

    def run(self, monitor: Monitor) -> None:
        """Train to the end of the schedule, or until the monitor is told to stop; either way write a checkpoint.

        Raises:
            VireidError: the loss is NaN or infinite (the last good checkpoint stays).
            KeyboardInterrupt: stopped by the user; a checkpoint of the exact batch was written.
        """
        self.network.train()
        batches: list[npt.NDArray[np.int64]] = []
        while self.step < self.steps:
            epoch, batch = divmod(self.step, self.steps_per_epoch)
            if batch == 0 or not batches:
                batches = self.sampler.epoch(epoch)
            started = time.perf_counter()
            parts, lr = self._step(batches[batch])
            self.step += 1
            elapsed = time.perf_counter() - started
            self.seconds += elapsed
            monitor.step(self.step, self.step / self.steps_per_epoch, parts, lr, len(batches[batch]) / elapsed)
            if self.step % self.steps_per_epoch == 0:
                if self.validation:
                    self.validation.measure(self.network, self.step, self.out, monitor)
                if self.probe:
                    self._record_health(self.probe, monitor)
                self._save()
            if monitor.stopping:
                self._save()
                raise KeyboardInterrupt

    def _step(self, rows: npt.NDArray[np.int64]) -> tuple[dict[str, float], float]:
        # Seeding every batch from (seed, step) makes resuming exact without saving generator states.
        seed = int(np.random.SeedSequence([self.recipe.training.seed, self.step]).generate_state(1)[0])
        torch.manual_seed(seed)
        sides = [rows[self.modalities[rows] == m] for m in Modality]
        visible, plain = len(sides[0]), 0
        if self.recipe.data.joint:
            sides, visible, plain = [sides[0], *sides], 2 * visible, visible
        rows = np.concatenate(sides)
        images = self.store.batch(rows).to(self.device, non_blocking=True)
        generator = torch.Generator(self.device).manual_seed(seed)
        images = self.augment(images, generator, slice(plain, visible)).contiguous(memory_format=torch.channels_last)
        labels, modalities = self.labels[torch.from_numpy(rows).to(self.device)], self._modalities(rows)
        lr = learning_rate(self.recipe.schedule, self.step, self.steps_per_epoch)
        set_learning_rate(self.optimizer, lr)
        with autocast(self.device, self.precision):
            output = self.forward(*(side if len(side) else None for side in (images[:visible], images[visible:])))
        parts = self.objective(output, labels, modalities)
        values = dict(zip(parts, torch.stack(list(parts.values())).tolist(), strict=True))
        if not math.isfinite(values["total"]):
            raise VireidError(
                f"loss is {values['total']} at step {self.step + 1} (epoch {self.step // self.steps_per_epoch + 1}, "
                f"{json.dumps(values)}); {way_out(self.out)}"
            )
        self._update(parts["total"])
        return values, lr

    def _record_health(self, probe: Probe, monitor: Monitor) -> None:
        begun = self.step - self.steps_per_epoch
        epoch = [line["overlap"] for line in read_metrics(self.out) if line["step"] > begun and "overlap" in line]
        health = measure_health(self.network, self.store, probe, self.precision)
        if epoch:
            health["health/overlap/active"] = sum(value > 0 for value in epoch) / len(epoch)
        monitor.record({"step": self.step, **health})

    def _update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.recipe.training.clip > 0:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_([*self.network.parameters(), *self.objective.parameters()], self.recipe.training.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _modalities(self, rows: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.modalities[rows]).to(self.device)

    def _save(self) -> None:
        state: dict[str, Any] = {"scaler": self.scaler.state_dict(), "seconds": self.seconds}
        keep = self.recipe.training.keep
        save_checkpoint(self.out, self.step, self.network, self.optimizer, state, keep, self.objective)
