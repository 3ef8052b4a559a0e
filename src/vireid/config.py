"""The settings of a run as documented dataclasses that validate themselves; `vireid.recipes` reads them from YAML."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass

from vireid.difficulty import DIFFICULTY, Difficulty

_STRICT = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True, allow_inf_nan=False)


Options = dict[str, JsonValue]
Share = Annotated[float, Field(ge=0, le=1)]
Methods = dict[str, Options]
Losses = dict[str, Options]


_PARTS = {part.name: Field(description=part.metadata["meaning"], ge=0, le=1) for part in fields(Difficulty)}
_DIAL = {
    "__doc__": "Levels of the parts of `Difficulty`, from 0 to 1; null: the overall level.\n\nAttributes:\n"
    + "\n".join(f"    {name}: {info.description}" for name, info in _PARTS.items()),
    "__module__": __name__,
    "__annotations__": {name: Annotated[float | None, info] for name, info in _PARTS.items()},
}
DialConfig: Any = dataclass(frozen=True, config=_STRICT)(type("DialConfig", (), dict.fromkeys(_PARTS) | _DIAL))
"""A level, or null, for each part of `vireid.difficulty.Difficulty`."""


@dataclass(frozen=True, config=_STRICT)
class SyntheticConfig:
    """Settings of the rendered set, used when the data are of kind synthetic."""

    like: str = "sysu"
    """Layout, which sets the cameras and the evaluation protocol: a name or package.module:NAME."""
    identities: int = Field(default=491, ge=2)
    """Number of people; the test share is that of the real set."""
    images: int | None = Field(default=4, ge=1)
    """Images per person and camera (LLCM: and modality); null: as many as in the real set."""
    seed: int = Field(default=0, ge=0)
    """Seed of people, cameras and views."""
    difficulty: float = Field(default=DIFFICULTY, ge=0, le=1)
    """Difficulty from 0 (clean) to 1 (hard)."""
    dial: DialConfig = Field(default_factory=DialConfig)
    """Parts of the difficulty; each replaces the overall level for its part."""


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """Data set, network input, batches and augmentation."""

    kind: Literal["files", "synthetic"] = "files"
    """Source of the images: files (a data set on disk) or synthetic (rendered when needed, without files)."""
    layout: str | None = None
    """Layout of the data set, a name or package.module:NAME; null: detected from its folders."""
    synthetic: SyntheticConfig = Field(default_factory=SyntheticConfig)
    """Settings of the rendered set."""
    height: int = Field(default=288, ge=32, le=2048)
    """Height of the network input in pixels."""
    width: int = Field(default=144, ge=32, le=2048)
    """Width of the network input in pixels."""
    identities: int = Field(default=6, ge=2)
    """Identities per batch, P."""
    images: int = Field(default=6, ge=1)
    """K: visible images, and as many infrared ones, of each identity in a batch."""
    sampling: Literal["turns", "independent", "either"] = "turns"
    """turns: identities and their images take turns; independent: both drawn anew for every batch, images with
    replacement (AGW's code and all derived from it); either: K images of an identity whatever their modality (MCJA)."""
    resampling: Literal["bilinear", "lanczos"] = "bilinear"
    """Filter that brings images to the input's size; both smooth what they reduce."""
    pad: int = Field(default=10, ge=0)
    """Border in pixels before the random crop back to the input size."""
    border: int = Field(default=0, ge=0, le=255)
    """Grey level of the border."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    erase: float = Field(default=0.5, ge=0, le=1)
    """Probability of random erasing (RE in Table 1; 0 switches it off)."""
    erase_area: tuple[Share, Share] = (0.02, 0.4)
    """Smallest and largest share of the image that is erased."""
    erase_aspect: Literal["uniform", "log-uniform"] = "uniform"
    """Aspect of the erased box: uniform from 0.3 to 3.33, or log-uniform from 0.3 to 3.3 (torchvision's way)."""
    erase_fill: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Colour of the erased box after normalisation; 0 is ImageNet's mean colour."""
    exchange: float = Field(default=0.0, ge=0, le=1)
    """Probability that a visible image is shown as one of its channels or in grey (channel augmentation, CAJ)."""
    colour: Literal["exchange", "caj", "deen", "mcja"] = "exchange"
    """How: exchange as above, visible images only; caj, deen, mcja: as that code does (vireid/data/colour.py)."""
    joint: bool = False
    """Joint learning (CAJ): every visible image of a batch twice, as it is and again with `exchange` applied."""
    holdout: float = Field(default=0.5, gt=0, lt=1)
    """Share of a plain folder's identities held out for evaluation; the other layouts have fixed lists."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network input in pixels."""
        return self.height, self.width


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
    gate: Literal["features", "sigmoid", "none"] = "sigmoid"
    """Reading of eq. 3: features: sigmoid(F * M); sigmoid: F * sigmoid(f * M), a spatial gate; none: F * M."""
    inference: bool = True
    """Weakening at inference too, not only in training."""
    detach: bool = False
    """Stop-gradient on f in the sigmoid gate."""


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """The two-stream network, section 3.1 and 3.3."""

    backbone: str = Field(default="resnet50", min_length=1)
    """Backbone: a name from docs/backbones.md, one from an installed package, or package.module:Class."""
    options: Options = Field(default_factory=dict)
    """Options of the backbone."""
    base_width: int = Field(default=64, ge=8, le=256)
    """Channels of a ResNet's first stage; below 64 no published weights fit."""
    weights: str = Field(default="imagenet", min_length=1)
    """Initial weights: none (from scratch), imagenet or another published name, or a .pth or .safetensors file."""
    shared_from: Literal["input", "layer1", "layer2"] = "layer2"
    """First stage that both modalities share: layer2 (the paper's), layer1 (AGW), input (one stream for both)."""
    last_stride: Literal[1, 2] = 1
    """Stride of a ResNet's layer4."""
    branches: int = Field(default=2, ge=1, le=8)
    """Copies of layer4 (SLN); 1 is the baseline."""
    padding: Literal["zeros", "replicate"] = "zeros"
    """Padding mode of layer4's 3x3 convolutions; a branch can recognise zeros and so learn where the border is."""
    gem_power: float = Field(default=3.0, ge=1, le=20)
    """Exponent of the generalised-mean pooling; 1 is average pooling."""
    weakening: WeakeningConfig = Field(default_factory=WeakeningConfig)
    """Dynamic feature weakening."""
    methods: Methods = Field(default_factory=dict)
    """Extra methods, NAME: {OPTION: value}; NAME is built-in, from an installed package or package.module:Class."""


@dataclass(frozen=True, config=_STRICT)
class TripletConfig:
    """Triplet part of L_ReID, on each branch's feature before the BNNeck."""

    kind: Literal["random", "batch-hard", "weighted", "squared"] = "batch-hard"
    """Triplets: random (as the authors say), batch-hard, or without margin weighted (AGW) or squared (CAJ)."""
    margin: float = Field(default=0.3, ge=0)
    """Margin in units of Euclidean distance."""
    weight: float = Field(default=1.0, ge=0)
    """Weight in the objective; 0 switches it off."""


@dataclass(frozen=True, config=_STRICT)
class HeteroCenterConfig:
    """Hetero-center triplet loss, eq. 6, on the concatenated feature before the BNNeck."""

    margin: float = Field(default=0.3, ge=0)
    """Margin rho in units of Euclidean distance."""
    weight: float = Field(default=1.0, ge=0)
    """Weight in the objective; 0 switches it off."""
    reduction: Literal["sum", "mean"] = "sum"
    """Reduction over the 2P centre anchors: sum (as printed) or mean (as in the original paper of the loss)."""
    each: float = Field(default=0.0, ge=0)
    """Weight of the same loss on every single branch or stripe (HCT); the concatenated feature has weight 1."""


@dataclass(frozen=True, config=_STRICT)
class OverlapConfig:
    """Overlap penalty between branches, eq. 4-5."""

    weight: float = Field(default=0.5, ge=0)
    """Weight lambda of eq. 7; 0 switches it off."""
    separation: float = Field(default=100.0, ge=0)
    """Separation S in pixels of the network input."""
    centre: Literal["soft", "hard"] = "soft"
    """Centre of interest: soft (expected position under a spatial softmax) or hard (argmax as printed, no gradient)."""
    temperature: float = Field(default=0.1, gt=0)
    """Temperature of the spatial softmax, in units of the response; towards 0 the soft centre becomes the hard one."""
    relative: bool = False
    """Subtraction of each position's batch mean from the response, before the softmax."""
    standardise: bool = False
    """Scaling of each image's response to mean 0 and deviation 1, which are then the units of the temperature."""


@dataclass(frozen=True, config=_STRICT)
class LossConfig:
    """The objective, a weighted sum of losses; by default eq. 7: lambda * L_op + L_hc_tri + L_ReID.

    In a recipe it is one mapping, ``loss: {NAME: {weight: w, OPTION: value}}``; losses without a field of their own go
    to `others`.
    """

    identity: float = Field(default=1.0, ge=0)
    """Weight of the identity cross-entropy of each branch."""
    triplet: TripletConfig = Field(default_factory=TripletConfig)
    """Triplet part of L_ReID."""
    hetero_center: HeteroCenterConfig = Field(default_factory=HeteroCenterConfig)
    """L_hc_tri."""
    overlap: OverlapConfig = Field(default_factory=OverlapConfig)
    """L_op."""
    others: Losses = Field(default_factory=dict)
    """Other losses, {weight: 1, OPTION: value}: a method's, an installed package's, or package.module:Class."""

    @field_validator("identity", mode="before")
    @classmethod
    def _weigh(cls, value: Any) -> Any:
        """Accept {weight: w}, the form of all losses, for the loss that has only a weight."""
        if not isinstance(value, dict) or set(value) != {"weight"}:
            return value
        if isinstance(value["weight"], bool):
            raise ValueError("expected a weight, got a yes or no")
        return value["weight"]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, dict):  # constructed in Python
            return value
        losses = with_weights(value)
        own = {name: part for name, part in losses.items() if name in NAMED_LOSSES}
        return own | {"others": {name: part for name, part in losses.items() if name not in own}}

    @model_serializer(mode="wrap")
    def _join(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        fields |= fields.pop("others")
        return fields


def with_weights(losses: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping of losses in which a plain number, a weight, has become {weight: w}."""
    return {name: {"weight": part} if is_number(part) else part for name, part in losses.items()}


def is_number(value: Any) -> bool:
    """Whether a value read from YAML is a number; yes and no do not count."""
    return isinstance(value, int | float) and not isinstance(value, bool)


NAMED_LOSSES = ("identity", "triplet", "hetero_center", "overlap")
"""Losses whose settings are fields of `LossConfig`, in the order in which they are computed."""


@dataclass(frozen=True, config=_STRICT)
class ScheduleConfig:
    """Learning rate over the epochs, and the optimiser."""

    epochs: int = Field(default=60, ge=1)
    """Number of epochs; one epoch is max(#visible, #infrared) / (P K) batches."""
    lr: float = Field(default=0.1, gt=0)
    """Peak learning rate of the heads (BNNeck and classifiers)."""
    backbone_factor: float = Field(default=0.1, ge=0)
    """Learning rate of the trunk as a multiple of the heads'."""
    shape: Literal["step", "cosine"] = "step"
    """Schedule after the warm-up: step (at the milestones, constant within an epoch) or cosine (to zero, per batch)."""
    warmup: float = Field(default=10, ge=0)
    """Epochs of linear warm-up."""
    milestones: tuple[int, ...] = (20, 50)
    """Epochs (0-based) from which the step schedule multiplies the rate by 0.1 once more."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """sgd: with Nesterov momentum; adam: Adam with its usual moments (0.9, 0.999)."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Nesterov momentum of sgd."""
    weight_decay: float = Field(default=5e-4, ge=0)
    """L2 penalty on all parameters."""


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """How training runs; none of this comes from the paper."""

    seed: int = Field(default=0, ge=0)
    """Seed of initialisation, batches and augmentation."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast type; auto is bf16 where the hardware supports it, else fp32."""
    compile: bool = False
    """Compilation of the network with torch.compile."""
    clip: float = Field(default=0.0, ge=0)
    """Maximum gradient norm; 0 switches clipping off."""
    keep: int = Field(default=2, ge=1)
    """Number of checkpoints to keep."""
    validation: float = Field(default=0.0, ge=0, lt=1)
    """Share of training identities held out for validation; above 0, the epoch with their best mAP is reported."""


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """All settings of one run.

    Examples:
        >>> import vireid
        >>> vireid.Recipe(name="mine").schedule.epochs
        60
    """

    name: str = Field(default="custom", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name shown in reports."""
    summary: str = ""
    """One-line description of what the recipe reproduces."""
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
        weights = (loss.identity, loss.triplet.weight, loss.hetero_center.weight, overlapping and loss.overlap.weight)
        if not any(weights) and not loss.others:
            raise ValueError("all losses have weight 0; expected one above 0 (overlap needs two branches)")

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries that `parse_recipe` reads back to an equal recipe."""
        return RECIPE.dump_python(self, mode="json")  # type: ignore[no-any-return]


RECIPE = TypeAdapter(Recipe)
