"""The settings of averaging, as they stand under ``[method.averaging]``, and what goes with what."""

from __future__ import annotations

from itertools import pairwise
from textwrap import shorten
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from huizhen.data.cohort import parse
from huizhen.data.folds import Aside
from huizhen.errors import HuizhenError, MachineError, Problem, closest
from huizhen.methods.method import Names, Spec, Unsound
from huizhen.methods.networks import kind, names
from huizhen.methods.scores.setting import Rule, aside_mistakes, survival_of
from huizhen.methods.survival.followup import SurvivalSpec
from huizhen.methods.training.aggregation import Server
from huizhen.methods.training.losses import ROWS_MEET
from huizhen.methods.training.recipe import Private, Recipe

__all__ = ["AveragingSpec", "PrivateSpec"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=1e-12, le=1e6)]  # of learning, and tau: float32 holds what they are multiplied by
Penalty = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Floats = Annotated[tuple[float, ...], Field(strict=False)]
SHOWN = 80  # characters of a wrong name in a message
SURVIVAL = ("cox", "discrete_time")


class PrivateSpec(Spec):
    """The table ``private``: clipping and noise in every step, see `Private`. Without noise: the study's epsilon gives it."""

    clip: float = Field(ge=1e-6, le=1e6)
    noise: float | None = Field(default=None, gt=0, le=1e6)
    rate: float = Field(default=0.0, ge=0, le=1)
    delta: float = Field(default=1e-6, gt=0, lt=1)

    @property
    def private(self) -> Private:
        """What a step does.

        Raises:
            ValueError: its noise is left to the study, which has not said it yet.
        """
        if self.noise is None:
            raise ValueError("private: its noise is the study's, so nothing is trained before the study has said it")
        return Private(self.clip, self.noise, self.rate)

    @model_validator(mode="after")
    def _in_range(self) -> PrivateSpec:
        assert Private(self.clip, self.noise or 1.0, self.rate)
        return self


class AveragingSpec(Spec):
    """Settings of averaging.

    Attributes:
        network: name of an installed network; settings: its own settings.
        task: what is predicted; a classification is of two classes or of several, as the joint levels of the outcome say.
        outcome: the variable; several for ``multilabel``; the label map for ``segmentation``.
        time, event: of survival, as in a Cox regression; ends: upper ends of the intervals, for ``discrete_time``.
        resolution: width of the finest interval of the joint grid of times on which a ``cox`` network is judged.
        classes: of a label map, background included, where its variable declares no levels.
        covariates: the inputs, as terms of a formula; or else
        image: the input.
        scale: of the inputs: ``joint``, each ``site`` by its own training rows, or ``none``.
        validation, test: rows kept aside: a share, drawn by what a row holds, or a condition.
        rounds: the most rounds.
        early_stopping: rounds without a better joint validation, after which the best weights are taken; 0: never.
        epochs, steps, batch, optimiser, learning_rate, momentum, weight_decay, clip, augment: local training, see `Recipe`.
        private: differential privacy in every step of it, see `Private`; None: none.
        proximal: mu of FedProx; 0: none.
        control: whether control variates correct the drift of sites (SCAFFOLD).
        normalise: whether a site's change is divided by its effective steps (FedNova).
        own_layers: whether each site keeps its own normalisation layers (FedBN).
        order: all sites ``together``, or one after another (``cyclic``), which is an individual release.
        server: what the hub does with the mean change; server_learning_rate, beta1, beta2, tau: see `Server`.
        threshold: the predicted probability at which sensitivity and specificity are taken.
        confidence: of the measures' intervals.
    """

    network: str = "mlp"
    settings: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    task: Literal["classification", "multilabel", "regression", "cox", "discrete_time", "segmentation"] = "classification"
    outcome: Names = ()
    time: str = ""
    event: str = ""
    ends: Floats = ()
    resolution: Positive = 1.0
    classes: int = Field(default=2, ge=2, le=1000)
    covariates: Names = ()
    image: str = ""
    scale: Literal["joint", "site", "none"] = "joint"
    validation: Rule = 0.0
    test: Rule = 0.0
    rounds: int = Field(default=20, ge=1, le=100_000)
    early_stopping: int = Field(default=0, ge=0)
    epochs: int = Field(default=1, ge=1, le=10_000)
    steps: int = Field(default=0, ge=0, le=1_000_000)
    batch: int = Field(default=32, ge=1, le=1_000_000)
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Rate = 0.01
    momentum: Share = 0.0
    weight_decay: Penalty = 0.0
    clip: Penalty = 0.0
    augment: Literal["none", "flip"] = "none"
    private: PrivateSpec | None = None
    proximal: Penalty = 0.0
    control: bool = False
    normalise: bool = False
    own_layers: bool = False
    order: Literal["together", "cyclic"] = "together"
    server: Literal["average", "momentum", "adagrad", "adam", "yogi"] = "average"
    server_learning_rate: Rate = 1.0
    beta1: Share = 0.9
    beta2: Share = 0.99
    tau: Rate = 1e-3
    threshold: float = Field(default=0.5, gt=0, lt=1)
    confidence: float = Field(default=0.95, gt=0, lt=1)

    @field_validator("network")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in (known := names()):
            close = closest(name, known)
            remedy = f"Did you mean {close}?" if close else ""
            raise Unsound([Problem("", shorten(repr(name), SHOWN, placeholder="..."), f"one of: {', '.join(known)}", remedy)])
        try:
            kind(name)
        except MachineError as error:
            raise Unsound(error.problems) from None
        return name

    @field_validator("settings")
    @classmethod
    def _sound(cls, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Sound for the network that is named; not looked at where no such network is known."""
        if "network" in info.data and (problems := kind(info.data["network"]).mistakes(settings)):
            raise Unsound(problems)
        return settings

    @model_validator(mode="after")
    def _goes_together(self) -> AveragingSpec:
        if problems := [*_of_inputs(self), *_of_outcome(self), *_of_training(self)]:
            raise ValueError("; ".join(problems))
        return self

    @property
    def survival(self) -> SurvivalSpec | None:
        """What the joint grid of times needs to know; None where there is no such grid."""
        return survival_of(self.task, self.time, self.event, self.resolution)

    @property
    def aside(self) -> Aside:
        """The rows that are kept from training."""
        return Aside(self.validation, self.test)

    @property
    def recipe(self) -> Recipe:
        """How a site trains."""
        names = (
            "optimiser",
            "learning_rate",
            "momentum",
            "weight_decay",
            "batch",
            "epochs",
            "steps",
            "proximal",
            "clip",
            "augment",
        )
        private = None if self.private is None else self.private.private
        return Recipe(**{name: getattr(self, name) for name in names}, private=private)

    def with_noise(self, multiplier: float) -> AveragingSpec:
        """The same with the study's noise in private training, where that leaves it to the study."""
        if self.private is None or self.private.noise is not None:
            return self
        return self.model_copy(update={"private": self.private.model_copy(update={"noise": multiplier})})

    @property
    def server_rule(self) -> Server:
        """What the hub does with the mean change."""
        return Server(self.server, self.server_learning_rate, self.beta1, self.beta2, self.tau)


def _of_inputs(spec: AveragingSpec) -> list[str]:
    problems = []
    if bool(spec.covariates) == bool(spec.image):
        problems.append(f"covariates, image: found {'both' if spec.image else 'neither'}, expected one of them")
    reads = kind(spec.network).space
    if spec.covariates and 0 not in reads:
        problems.append(f"network: found {spec.network} with covariates, expected one that reads a row of features")
    if spec.image and not any(reads):
        problems.append(f"network: found {spec.network} with an image, expected one that reads images")
    if spec.image and spec.scale == "site":
        problems.append("scale: found site with an image, expected joint or none")
    return problems + aside_mistakes(spec.aside, spec.early_stopping)


def _of_outcome(spec: AveragingSpec) -> list[str]:
    problems = []
    if spec.task in SURVIVAL:
        if not (spec.time and spec.event) or spec.outcome:
            problems.append(f"time, event: a {spec.task} network needs both, and no outcome")
        elif spec.event:
            try:
                parse(spec.event)
            except HuizhenError as error:
                problems.append(f"event: {error}")
        if spec.task == "discrete_time" and not (spec.ends and spec.ends[0] > 0 and _rise(spec.ends)):
            problems.append("ends: expected rising times above 0, the upper ends of the intervals")
    elif spec.time or spec.event:
        problems.append("time, event: found with a task that has none, expected outcome alone")
    elif spec.task == "multilabel" and len(spec.outcome) < 2:
        problems.append("outcome: expected two variables or more, one for each label")
    elif spec.task != "multilabel" and len(spec.outcome) != 1:
        problems.append(f"outcome: found {len(spec.outcome)} variables, expected one")
    if spec.task == "segmentation" and not spec.image:
        problems.append("image: a segmentation needs one")
    if (spec.task == "segmentation") != kind(spec.network).dense_output:
        expected = "outputs for every pixel" if spec.task == "segmentation" else "outputs for a row"
        problems.append(f"network: found {spec.network} for {spec.task}, expected a network that gives {expected}")
    return problems


def _of_training(spec: AveragingSpec) -> list[str]:
    problems = []
    plain = spec.optimiser == "sgd" and not spec.momentum
    if spec.control and not plain:
        problems.append("control: found an optimiser with a memory, expected sgd without momentum")
    if spec.normalise and spec.optimiser != "sgd":
        problems.append(f"normalise: found {spec.optimiser}, expected sgd, whose effective steps are known")
    if spec.momentum and spec.optimiser != "sgd":
        problems.append(f"momentum: found with {spec.optimiser}, expected with sgd alone")
    if spec.order == "cyclic" and (spec.control or spec.normalise):
        problems.append("order: a cycle has one site in a round, so control and normalise mean nothing there")
    return problems + (_of_privacy(spec) if spec.private else [])


def _of_privacy(spec: AveragingSpec) -> list[str]:
    problems = []
    if spec.task in ROWS_MEET:
        problems.append(f"private: found a {spec.task} network, whose loss compares rows, expected task = discrete_time")
    if spec.scale == "site":
        problems.append("private: found scale = site, by which a row acts on all others of its site, expected joint or none")
    if spec.clip:
        problems.append("clip: found with private, which clips every row, expected 0")
    return problems


def _rise(ends: tuple[float, ...]) -> bool:
    return all(low < high for low, high in pairwise(ends))
