"""The objective and the scorer of image classifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.data import Batch, ImageArray, ImageData
from fewshot_core.data.stream import EvalBatches, calibration_batches, move_to_device
from fewshot_core.recipe.fitting import Fitting, fit_classifier
from fewshot_core.recipe.schema import Recipe, recalibration_images, scored_images
from fewshot_core.recipe.trainings import RetrainSettings, SupernetSettings, TrainingSettings
from fewshot_core.recipe.unread import Unread
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.task import Task
from fewshot_core.training.captured import CapturedGradients
from fewshot_core.training.classifier_scores import ClassificationScorer
from fewshot_core.training.extras import Extras
from fewshot_core.training.finetune import group_rate, norms_of
from fewshot_core.training.forward import call, cross_entropy, logits_of, path_batch, pieces_of
from fewshot_core.training.loop import Watch
from fewshot_core.training.objective import (
    GRADIENT_NORM,
    Objective,
    Scorer,
    followers_in,
    learning_rate,
)
from fewshot_core.training.optimizer import make_optimizer, optimizer_info
from fewshot_core.training.pace import Pace
from fewshot_core.training.teacher import Teacher
from fewshot_core.training.validation import IMAGES, ValidationWatch

Compare = Callable[[Any, Tensor, float], Tensor]
"""See :meth:`ClassificationTask.compare`."""


class ClassificationObjective:
    """A loss of outputs and classes, with one optimiser.

    Args:
        model: A supernet or a network, as prepared by the accelerator.
        settings: How it is trained.
        steps: Length of the training, for the schedule.
        accelerator: What it is trained on.
        compare: See :meth:`ClassificationTask.compare`.

    Raises:
        RecipeError: timm knows no optimiser of that name, or the teacher cannot be had.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        steps: int,
        accelerator: Accelerator,
        compare: Compare = cross_entropy,
    ) -> None:
        self.settings = settings
        self.steps = steps
        # Pretrained weights may be scored without any training.
        passes = settings.epochs
        self.warmup = round(steps * settings.warmup_epochs / passes) if passes else 0
        self.accelerator = accelerator
        self.model, self.compare = model, compare
        self.pace: Pace | None = None
        self._followers = followers_in(accelerator.unwrap_model(model))
        # Gathered once: a walk over the modules of a large supernet costs a tenth of a step.
        self._parameters = list(model.parameters())
        # In-place distillation (Yu et al., BigNAS, ECCV 2020, section 3.1).
        paths = settings.paths if isinstance(settings, SupernetSettings) else None
        self.teaches = paths is not None and paths.teaches
        self.together = 1 if paths is None else paths.together
        self._program: Callable[..., Tensor] | None = None  # of a path batch, once one has run
        bare = accelerator.unwrap_model(model)
        self.head_steps, self._held = 0, []
        if isinstance(settings, RetrainSettings):
            self.head_steps = round(steps * settings.head_epochs / settings.epochs)
            self._held = norms_of(bare) if settings.freeze_norm else []
        # Fused kernels of torch do not help where a step touches a few small tensors; one that
        # touches all of them would be launched tensor by tensor for longer than a GPU computes.
        fused = self.together > 1 and accelerator.device.type == "cuda"
        optimizer = make_optimizer(bare, settings, fused=fused)
        self.optimizer = accelerator.prepare_optimizer(optimizer)
        self.extras = None
        if isinstance(settings, RetrainSettings):
            self.extras = Extras(bare, settings)
        self.teacher = Teacher(settings, accelerator) if settings.teacher else None

    def step(
        self, batch: Batch, architectures: Sequence[Architecture | None], step: int
    ) -> dict[str, Tensor]:
        images, targets = batch
        exponent = self.pace(architectures) if self.pace else None
        rate = learning_rate(self.settings, step, self.steps, self.warmup, exponent)
        for group in self.optimizer.param_groups:
            group["lr"] = group_rate(group, rate, head_only=step < self.head_steps)
        for norm in self._held:
            norm.eval()
        for module in self._followers:
            module.follow(step / self.steps)
        if not isinstance(self._program, CapturedGradients):  # which writes them anew
            self.optimizer.zero_grad(set_to_none=True)
        if self.extras is not None:
            images, targets = self.extras.mix(batch)
        if self.together > 1:
            logged = self._backward_parts((images, targets), architectures)
        else:
            logged = {"loss": self._backward_pieces((images, targets), architectures)}
        if self.settings.grad_clip and GRADIENT_NORM not in logged:
            norm = self.accelerator.clip_grad_norm_(self._parameters, self.settings.grad_clip)
            # A loss can be finite while a gradient is not, and only the next loss would show it.
            if norm is not None:
                logged[GRADIENT_NORM] = norm
        self.optimizer.step()
        if self.extras is not None:
            self.extras.average(step)
        return logged

    def _backward_parts(
        self, batch: Batch, architectures: Sequence[Architecture | None]
    ) -> dict[str, Tensor]:
        """The gradients of architectures that have a part of the batch each; what to log.

        Of several processes each takes as many whole parts as any other. Every parameter gets a
        gradient, zero where no architecture uses it.
        """
        images, targets = batch
        share = self.together // self.accelerator.num_processes
        first = self.accelerator.process_index * share
        mine = [a for a in architectures[first : first + share] if a is not None]
        codes = path_batch(self.accelerator.unwrap_model(self.model), mine, images.device)
        if codes is not None:
            given = [images, targets, move_to_device(codes, images.device)]
            if self.teacher is not None:  # no part of the program, which has the gradients alone
                given.append(self.teacher.teach(images))
            found = self._static_program()(*given)
            return dict(zip(("loss", GRADIENT_NORM), found, strict=False))
        total = images.new_zeros(())
        parts = zip(images.chunk(share), targets.chunk(share), mine, strict=True)
        for number, (x, y, architecture) in enumerate(parts, start=1):
            total += self._backward((x, y), [architecture], share * len(x), number == share)
        for parameter in self._parameters:
            if parameter.grad is None and parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
        return {"loss": total}

    def _static_program(self) -> Callable[..., Tensor]:
        """From images, targets and codes of architectures to the loss, with the backward pass."""
        if self._program is None:
            captures = self.accelerator.device.type == "cuda"
            # A graph holds neither the hooks that exchange gradients nor what the host changes: the
            # factor that they are scaled by, and what follows the progress of the training.
            alone = self.accelerator.num_processes == 1 and self.accelerator.scaler is None
            self._program = self._loss_of_parts
            if captures and alone and not self._followers:
                self._program = CapturedGradients(self._step_clipped, self.model)
        return self._program

    def _step_clipped(self, *given: Tensor) -> Tensor:
        """The loss and, where gradients are clipped, their norm."""
        found = self._loss_of_parts(*given)
        limit = self.settings.grad_clip
        if not limit:
            return found
        norm = nn.utils.clip_grad_norm_(self._parameters, limit)
        return torch.cat([found, norm[None]])

    def _loss_of_parts(
        self, images: Tensor, targets: Tensor, codes: Tensor, taught: Tensor | None = None
    ) -> Tensor:
        with self.accelerator.autocast():
            outputs = self.model(images, codes)
        loss = self._loss(outputs, targets, taught)
        self.accelerator.backward(loss)
        return loss.detach()[None]

    def _backward_pieces(
        self, batch: Batch, architectures: Sequence[Architecture | None]
    ) -> Tensor:
        """Add the gradients of architectures that all see the whole batch; the mean loss."""
        pieces = pieces_of(batch, self.settings.micro_batch)
        total = batch[0].new_zeros(())
        for number, piece in enumerate(pieces, start=1):
            total += self._backward(piece, architectures, len(batch[0]), number == len(pieces))
        return total

    def _backward(
        self,
        batch: Batch,
        architectures: Sequence[Architecture | None],
        images_of_step: int,
        ends_step: bool,
    ) -> Tensor:
        """Add the gradients of a piece of a step's batch; its part of the step's mean loss."""
        images, targets = batch
        parts = len(architectures) * images_of_step / len(images)
        total = images.new_zeros(())
        taught = None if self.teacher is None else self.teacher.teach(images)
        for index, architecture in enumerate(architectures):
            last = ends_step and index == len(architectures) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                with self.accelerator.autocast():
                    outputs = call(self.model, images, architecture)
                loss = self._loss(outputs, targets, taught)
                self.accelerator.backward(loss / parts)
            if index == 0 and self.teaches:
                # What the teacher knows reaches the others through the first.
                targets, taught = logits_of(outputs).detach().float().softmax(1), None
            total += loss.detach() / parts
        return total

    def _loss(self, outputs: Any, targets: Tensor, taught: Tensor | None) -> Tensor:
        """Compared with the targets, and with the probabilities of a teacher where there is one."""
        smoothing = 0.0 if targets.is_floating_point() else self.settings.label_smoothing
        loss = self.compare(outputs, targets, smoothing)
        if taught is None:
            return loss
        return loss + self.settings.teacher_weight * cross_entropy(logits_of(outputs), taught)

    def finish(self) -> None:
        """Put averaged weights, if any are kept, into the model."""
        if self.extras is not None:
            self.extras.finish()

    def state_dict(self) -> dict[str, Any]:
        extras = {} if self.extras is None else self.extras.state_dict()
        return {"optimizer": self.optimizer.state_dict(), **extras}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self.extras is not None:
            self.extras.load_state_dict(state)


class ClassificationTask(Task):
    """What all tasks share that classify images: objective, loss and scorer."""

    memory_setting = "micro_batch"

    def compare(self, outputs: Any, targets: Tensor, label_smoothing: float) -> Tensor:
        """The loss of outputs, a scalar in float32: the mean cross-entropy of logits.

        A network with an auxiliary head gives a tuple while it is trained, the logits first, and
        logits alone in ``eval()`` mode; its task overrides this method and no other.

        Args:
            outputs: What a supernet or a network gives.
            targets: Classes ``[B]``, or their probabilities ``[B, classes]``.
            label_smoothing: Share of the probability that all classes have; 0 for probabilities.
        """
        return cross_entropy(outputs, targets, label_smoothing)

    def fit(self, fitting: Fitting) -> None:
        fit_classifier(fitting)

    def find_unread(self, recipe: Recipe) -> Iterator[Unread]:
        """What an optimiser does not take."""
        for part in ("supernet", "regions", "retrain"):
            name = getattr(recipe, part).optimizer
            found = optimizer_info(name)
            if found is None:
                continue
            chosen = (f"{part}.optimizer={name}", (f"{part}.optimizer",))
            if not found.has_momentum:
                readers = "optimizers with momentum read it, such as sgd and rmsprop"
                yield Unread(f"{part}.momentum", *chosen, readers)
            if not found.has_eps:
                readers = "optimizers with an eps read it, such as adamw and rmsprop"
                yield Unread(f"{part}.eps", *chosen, readers)

    def objective(
        self, model: nn.Module, settings: TrainingSettings, steps: int, accelerator: Accelerator
    ) -> Objective:
        return ClassificationObjective(model, settings, steps, accelerator, self.compare)

    def loss(
        self,
        model: nn.Module,
        batch: Batch,
        architecture: Architecture | None,
        accelerator: Accelerator,
    ) -> Tensor:
        images, targets = batch
        with accelerator.autocast():
            outputs = call(model, images, architecture)
            return self.compare(outputs, targets, 0.0)

    def watch(
        self, recipe: Recipe, data: ImageData, accelerator: Accelerator, folder: Path
    ) -> Watch | None:
        """A curve on validation images, unless they are trained on."""
        if recipe.retrain.use_validation:
            return None
        images, size = data.validation, recipe.evaluator.batch_size
        batches = EvalBatches(images, size, data.mean, data.std, IMAGES, accelerator.device)
        return ValidationWatch(batches, accelerator)

    def scorer(
        self, recipe: Recipe, data: ImageData, part: str, accelerator: Accelerator, folder: Path
    ) -> Scorer:
        settings = recipe.evaluator
        validation = part == "validation"
        images = data.validation if validation else data.test()
        limit = scored_images(settings) if validation else None
        device = accelerator.device
        batches: Sequence[Batch] = EvalBatches(
            images, settings.batch_size, data.mean, data.std, limit, device
        )
        # What is read again for every score has to be in memory; test images are scored once.
        if validation or isinstance(images, ImageArray):
            batches = list(batches)
        # Made once: loaders that are built anew for every score eat up the memory of their host.
        calibration = [
            x.to(device)
            for x, _ in calibration_batches(
                data.train,
                recalibration_images(settings),
                settings.batch_size,
                derive_seed(recipe.seed, "calibration"),
                data.mean,
                data.std,
            )
        ]
        return ClassificationScorer(batches, calibration, accelerator)
