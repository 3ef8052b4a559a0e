"""Progress bar, JSON lines, TensorBoard and stop signals of a training run."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vireid.files import atomic_path


class Monitor:
    """Context of a training run.

    Writes one JSON object per batch to ``out/metrics.jsonl`` (cut back to ``start`` batches first, so that a resumed
    run leaves one line per batch), the same to TensorBoard if it is installed, and turns SIGINT and SIGTERM into
    ``stopping``, so that the loop ends between two batches; a second SIGINT ends it at once.
    """

    def __init__(self, out: Path, start: int, steps: int, console: Console | None = None) -> None:
        self.path, self.start, self.steps = out / "metrics.jsonl", start, steps
        self.stopping = False
        columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
        console = console or Console(stderr=True, force_jupyter=False)  # a notebook shows that stream, too
        self.progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self.speed = 0.0

    def __enter__(self) -> Monitor:
        kept = [line for line in read_metrics(self.path.parent) if line["step"] <= self.start]
        with atomic_path(self.path) as path:
            path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self.file = self.path.open("a", buffering=1)
        self.board = _tensorboard(self.path.parent / "tensorboard", self.start)
        self.task = self.progress.add_task("train", total=self.steps, completed=self.start, text="")
        self.progress.start()
        self.handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self.handlers = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.progress.stop()
        if not self.progress.console.is_terminal:
            self.progress.console.print(f"train: {self.progress.tasks[0].completed:,} of {self.steps:,} batches")
        self.file.close()
        if self.board:
            self.board.close()

    def step(self, step: int, epoch: float, parts: dict[str, float], lr: float, speed: float) -> None:
        """Record one batch: loss parts, the heads' learning rate, images per second."""
        self.speed = speed if self.speed == 0 else 0.9 * self.speed + 0.1 * speed
        self.record({"step": step, "epoch": round(epoch, 4), "lr": lr, **parts, "images_per_second": round(speed, 1)})
        text = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
        self.progress.update(self.task, completed=step, text=f"epoch {epoch:.1f} {text} | {self.speed:.0f} images/s")

    def record(self, values: dict[str, float]) -> None:
        """Append one line of metrics; "step" is its position."""
        self.file.write(json.dumps(values) + "\n")
        if self.board:
            for name, value in values.items():
                if name != "step":
                    self.board.add_scalar(name, value, int(values["step"]))

    def say(self, lines: Iterable[str]) -> None:
        """Print lines below the progress bar."""
        for line in lines:
            self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True


def trained(run: Path) -> str:
    """Summarise a finished run: batches, first loss, and the mean loss of the last epoch."""
    lines = [line for line in read_metrics(run) if "total" in line]
    if not lines:
        return "no batches recorded"
    last = [line["total"] for line in lines if line["epoch"] > lines[-1]["epoch"] - 1]
    return (
        f"{len(lines):,} batches, loss {lines[0]['total']:.3f} at first, {sum(last) / len(last):.3f} in the last epoch"
    )


def read_metrics(run: Path) -> list[dict[str, float]]:
    """What ``record`` wrote, in order; an incomplete line left by a killed run is skipped."""
    path, lines = run / "metrics.jsonl", []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def _tensorboard(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # an optional extra; metrics.jsonl holds the same numbers
        return None
    return SummaryWriter(str(folder), purge_step=start + 1)
