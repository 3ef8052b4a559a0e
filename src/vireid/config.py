"""Recipes: documented, self-validating settings of a run. A recipe is one YAML file, or the name of a shipped one."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vireid.types import VireidError

_STRICT = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True, allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """What the network sees of an image, and what of the data set it may train on."""

    height: int = Field(default=288, ge=32, le=2048)
    """Height of the network input in pixels."""
    width: int = Field(default=144, ge=32, le=2048)
    """Width of the network input in pixels."""
    identities: int = Field(default=6, ge=2)
    """P: identities in a batch."""
    images: int = Field(default=6, ge=1)
    """K: visible images, and as many infrared ones, of each identity in a batch."""
    pad: int = Field(default=10, ge=0)
    """Zero padding in pixels before the random crop back to the input size."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    erase: float = Field(default=0.5, ge=0, le=1)
    """Probability of random erasing (RE in Table 1; 0 switches it off)."""
    holdout: float = Field(default=0.5, gt=0, lt=1)
    """Share of a plain folder's identities kept from training for evaluation; the other layouts have lists."""


@dataclass(frozen=True, config=_STRICT)
class WeakeningConfig:
    """Dynamic feature weakening, section 3.2."""

    after: tuple[Literal["layer2", "layer3"], ...] = ("layer2", "layer3")
    """Shared stages whose output is weakened; [] switches DFW off."""
    matrix: Literal["D1", "D2", "D3"] = "D1"
    """Weakening matrix of eq. 2: D1 threshold mean, factor alpha; D2 threshold beta, factor e; D3 mean and e."""
    alpha: float = Field(default=0.5, ge=0, le=1)
    """Weakening factor of D1."""
    beta: float = Field(default=0.5, ge=0, le=1)
    """Threshold of D2 on the response map scaled to 0..1 per image."""
    gate: Literal["sigmoid", "none"] = "sigmoid"
    """sigmoid: features * sigmoid(f * M), eq. 3 as a spatial gate; none: features * M."""
    inference: bool = True
    """Weaken at inference too, not only in training."""


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """The two-stream network, section 3.1 and 3.3."""

    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet50"
    """Residual network of the trunk."""
    base_width: int = Field(default=64, ge=8, le=256)
    """Channels of the first stage; below 64 the network is a narrow one that no published weights fit."""
    weights: str = Field(default="imagenet", min_length=1)
    """Start of the trunk: imagenet (downloaded), none (from scratch), or a .pth or .safetensors file."""
    last_stride: Literal[1, 2] = 1
    """Stride of layer4."""
    branches: int = Field(default=2, ge=1, le=8)
    """Copies of layer4 (SLN); 1 is the baseline."""
    gem_power: float = Field(default=3.0, ge=1, le=20)
    """Exponent of the generalised-mean pooling; 1 is average pooling."""
    weakening: WeakeningConfig = Field(default_factory=WeakeningConfig)
    """Dynamic feature weakening."""


@dataclass(frozen=True, config=_STRICT)
class TripletConfig:
    """Triplet part of L_ReID, on each branch's feature before the BNNeck."""

    kind: Literal["random", "batch-hard", "weighted"] = "batch-hard"
    """random (as the authors say), batch-hard, or weighted-regularised (AGW; it has no margin)."""
    margin: float = Field(default=0.3, ge=0)
    """Margin in units of Euclidean distance."""
    weight: float = Field(default=1.0, ge=0)
    """Weight in the objective; 0 switches it off."""


@dataclass(frozen=True, config=_STRICT)
class HeteroCenterConfig:
    """Hetero-center triplet loss, eq. 6, on the concatenated feature before the BNNeck."""

    margin: float = Field(default=0.3, ge=0)
    """rho in units of Euclidean distance."""
    weight: float = Field(default=1.0, ge=0)
    """Weight in the objective; 0 switches it off."""
    reduction: Literal["sum", "mean"] = "sum"
    """Over the 2P centre anchors: sum (as printed) or mean (as in the loss's own paper)."""


@dataclass(frozen=True, config=_STRICT)
class OverlapConfig:
    """Overlap penalty between branches, eq. 4-5."""

    weight: float = Field(default=0.5, ge=0)
    """lambda of eq. 7; 0 switches it off."""
    separation: float = Field(default=100.0, ge=0)
    """S in pixels of the network input."""
    centre: Literal["soft", "hard"] = "soft"
    """soft: expected position under a spatial softmax; hard: argmax as printed, which trains nothing."""
    temperature: float = Field(default=0.1, gt=0)
    """Of the spatial softmax, in units of the response; towards 0 the soft centre becomes the hard one."""


@dataclass(frozen=True, config=_STRICT)
class LossConfig:
    """The objective, eq. 7: lambda * L_op + L_hc_tri + L_ReID."""

    identity: float = Field(default=1.0, ge=0)
    """Weight of the identity cross-entropy of each branch."""
    triplet: TripletConfig = Field(default_factory=TripletConfig)
    """Triplet part of L_ReID."""
    hetero_center: HeteroCenterConfig = Field(default_factory=HeteroCenterConfig)
    """L_hc_tri."""
    overlap: OverlapConfig = Field(default_factory=OverlapConfig)
    """L_op."""


@dataclass(frozen=True, config=_STRICT)
class ScheduleConfig:
    """Learning rate over the epochs, and the optimiser (SGD with Nesterov momentum)."""

    epochs: int = Field(default=60, ge=1)
    """Epochs; one is max(#visible, #infrared) / (P K) batches."""
    lr: float = Field(default=0.1, gt=0)
    """Peak learning rate of the heads (BNNeck and classifiers)."""
    backbone_factor: float = Field(default=0.1, ge=0)
    """Learning rate of the trunk as a multiple of the heads'."""
    shape: Literal["step", "cosine"] = "step"
    """After the warm-up: steps at the milestones, constant within an epoch, or a cosine to zero over batches."""
    warmup: float = Field(default=10, ge=0)
    """Epochs of linear warm-up."""
    milestones: tuple[int, ...] = (20, 50)
    """Epochs (0-based) from which the step schedule multiplies the rate by 0.1 once more."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Nesterov momentum."""
    weight_decay: float = Field(default=5e-4, ge=0)
    """L2 penalty on all parameters."""


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """How the loop runs; none of it is the paper's."""

    seed: int = Field(default=0, ge=0)
    """Of initialisation, batches and augmentation."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast type; auto is bf16 where the processor has it in hardware, else fp32."""
    compile: bool = False
    """Run the network through torch.compile."""
    clip: float = Field(default=0.0, ge=0)
    """Largest gradient norm; 0 does not clip."""
    keep: int = Field(default=2, ge=1)
    """Checkpoints kept."""
    validation: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training identities held out; above 0 the epoch with the best mAP on them is reported."""


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """All settings of one run."""

    name: str = Field(default="custom", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name shown in reports."""
    summary: str = ""
    """One line on what the recipe reproduces."""
    data: DataConfig = Field(default_factory=DataConfig)
    """Input and batches."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """Network."""
    loss: LossConfig = Field(default_factory=LossConfig)
    """Objective."""
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    """Optimiser and learning rate."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """Loop."""

    def __post_init__(self) -> None:
        loss, overlapping = self.loss, self.model.branches > 1
        if not (
            loss.identity or loss.triplet.weight or loss.hetero_center.weight or (overlapping and loss.overlap.weight)
        ):
            raise ValueError("all parts of loss have weight 0; expected one above 0 (overlap needs two branches)")

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries that `parse_recipe` reads back to an equal recipe."""
        return _ADAPTER.dump_python(self, mode="json")  # type: ignore[no-any-return]


_ADAPTER = TypeAdapter(Recipe)


def shipped_recipes() -> list[str]:
    """Names of the recipes in the package, sorted."""
    return sorted(f.name[:-5] for f in resources.files("vireid.recipes").iterdir() if f.name.endswith(".yaml"))


def load_recipe(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by shipped name or YAML path and apply ``field=value`` overrides in order.

    A file may start from another recipe with ``base:``, a shipped name or a path from its own folder; its fields win.

    Raises:
        VireidError: unknown recipe, unreadable YAML, unknown or ill-typed field.
    """
    fields = _read_fields(recipe, seen=())
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not name:
            raise VireidError(f"override {override!r}: expected FIELD=VALUE, for example loss.overlap.weight=0.5")
        _set(fields, name.strip(), _yaml(text, f"override {override!r}"), f"recipe {recipe}")
    return parse_recipe(fields, source=f"recipe {recipe}")


def parse_recipe(fields: dict[str, Any], source: str = "recipe") -> Recipe:
    """Validate nested dictionaries into a `Recipe`; the error names field, expected value and nearest field name."""
    for name, kind, _, _ in recipe_fields():
        value: Any = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, bool) and kind != "bool":  # YAML reads yes, no, on and off as these
            raise VireidError(f"{source}: {name}={value}: expected {kind}, got a yes or no")
    try:
        return _ADAPTER.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise VireidError(f"{source}: unknown field {name}{_nearest(name)}") from None
        known = {row[0]: row for row in recipe_fields()}.get(name)
        wanted = f" ({known[3]})" if known else ""
        field = f"{name}={reprlib.repr(first['input'])}: " if name else ""
        raise VireidError(f"{source}: {field}{_lower(first['msg'])}{wanted}") from None


def recipe_fields(cls: Any = Recipe, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Yield (dotted name, type, default, documentation) of every leaf field."""
    for spec in dataclasses.fields(cls):
        info = cls.__pydantic_fields__[spec.name]
        default = info.get_default(call_default_factory=True)
        if dataclasses.is_dataclass(default):
            yield from recipe_fields(type(default), f"{prefix}{spec.name}.")
        else:
            kind = str(spec.type).replace("Literal", "one of ")
            yield f"{prefix}{spec.name}", kind, default, str(info.description)


def _read_fields(recipe: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if recipe in seen:
        raise VireidError(f"recipe {recipe}: base leads back to itself ({' -> '.join(seen)}); remove one base line")
    if recipe in shipped_recipes():
        text = (resources.files("vireid.recipes") / f"{recipe}.yaml").read_text()
    else:
        try:
            text = Path(recipe).read_text()
        except (OSError, UnicodeDecodeError):
            near = difflib.get_close_matches(recipe, shipped_recipes(), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise VireidError(
                f"recipe {recipe}: expected a YAML file or one of {', '.join(shipped_recipes())}{hint}"
            ) from None
    fields = _yaml(text, f"recipe {recipe}")
    if not isinstance(fields, dict):
        raise VireidError(f"recipe {recipe}: expected a mapping of fields, got {type(fields).__name__}")
    base = fields.pop("base", None)
    if base is None:
        return fields
    parent = str(base) if str(base) in shipped_recipes() else str(Path(recipe).parent / str(base))
    return _merge(_read_fields(parent, (*seen, recipe)), fields)


class _Loader(yaml.SafeLoader):
    """YAML of which a mapping that names a field twice is refused; the standard loader keeps the last silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]  # before merge keys (<<) bring in others
        twice = [name for name in names if isinstance(name, str) and names.count(name) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} is given twice; keep one", node.start_mark)
        return super().construct_mapping(node, deep)


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # dates that do not exist, [[[[...
        raise VireidError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _set(fields: dict[str, Any], name: str, value: Any, source: str) -> None:
    *parents, leaf = name.split(".")
    for parent in parents:
        inner = fields.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise VireidError(f"{source}: unknown field {name}{_nearest(name)}")
        fields = inner
    fields[leaf] = value


def _nearest(name: str) -> str:
    names = [row[0] for row in recipe_fields()]
    groups = sorted({n[: n.rindex(".")] for n in names if "." in n})
    near = difflib.get_close_matches(name, names + groups, 1, cutoff=0.5)
    # A field remembered without its group ("separation") is near the one that ends in it.
    ends = [n for n in names if n.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    hit = (ends or near)[:1]
    return f"; the nearest field is {hit[0]}" if hit else f"; the groups are {', '.join(groups)}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
