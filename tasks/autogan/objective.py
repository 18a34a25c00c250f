"""The training step of generators: two optimisers, and a watch on collapse."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from timm.optim import create_optimizer_v2, get_optimizer_info
from torch import Tensor, nn

from fewshot_core.data import Batch
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.objective import followers_in, learning_rate
from fewshot_core.training.optimizer import check_optimizer
from fewshot_core.training.pace import Pace
from fewshot_tasks.autogan.adversaries import CRITIC, GENERATOR, AdversarialSupernet, Adversaries
from fewshot_tasks.autogan.settings import GanSettings

LOOK = 50
"""Steps between two looks at the losses: each waits for the device."""


class GanObjective:
    """A step of the discriminator, and every ``critic_steps``-th time one of the generator.

    Adam without momentum on both sides, as Gong et al. train (section 4.1). The noise comes from
    torch's generator, which the training loop seeds by the step.
    """

    def __init__(
        self, model: nn.Module, settings: TrainingSettings, steps: int, accelerator: Accelerator
    ) -> None:
        """Args:
        model: An :data:`Adversaries`, as prepared by the accelerator.
        steps: Length of the training, for the schedule.

        Raises:
            RecipeError: timm knows no optimiser of that name, or it has no betas.
        """
        self.model, self.settings, self.steps = model, settings, steps
        self.accelerator = accelerator
        self.pair: Adversaries = accelerator.unwrap_model(model)
        self.rules = self.pair.rules
        self._followers = followers_in(self.pair)
        self.pace: Pace | None = None
        self.warmup = round(steps * settings.warmup_epochs / settings.epochs)
        rates = {"generator": settings.lr, "discriminator": settings.lr}
        if self.rules.discriminator_lr is not None:
            rates["discriminator"] = self.rules.discriminator_lr
        self._rates = {name: rate / settings.lr for name, rate in rates.items()}
        self.optimizers = {
            name: accelerator.prepare_optimizer(
                make_optimizer(getattr(self.pair, name), settings, rate, self.rules)
            )
            for name, rate in rates.items()
        }
        self.collapse = CollapseWatch(self.rules)
        self.resets = 0
        self._generator_loss = torch.zeros((), device=accelerator.device)

    def step(
        self, batch: Batch, architectures: Sequence[Architecture | None], step: int
    ) -> dict[str, Tensor]:
        exponent = self.pace(architectures) if self.pace else None
        rate = learning_rate(self.settings, step, self.steps, self.warmup, exponent)
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * self._rates[name]
        for module in self._followers:
            module.follow(step / self.steps)
        real = batch[0]
        loss = self._move("discriminator", CRITIC, len(real), architectures, real)
        generates = step % self.rules.critic_steps == 0
        if generates:
            count = max(1, round(self.rules.generator_batch * len(real)))
            self._generator_loss = self._move("generator", GENERATOR, count, architectures, None)
            if not isinstance(self.pair, AdversarialSupernet):
                self.pair.update_average(step // self.rules.critic_steps)
        logged = {"loss": loss, "generator loss": self._generator_loss}
        if isinstance(self.pair, AdversarialSupernet):
            # All processes have to come to the same conclusion.
            losses = self.accelerator.reduce(torch.stack([loss, self._generator_loss]), "mean")
            self.collapse.note(losses[0], losses[1] if generates else None)
            if self.collapse.has_collapsed(step):
                self._begin_anew(step)
        return logged

    def _move(
        self,
        side: str,
        role: str,
        count: int,
        architectures: Sequence[Architecture | None],
        real: Tensor | None,
    ) -> Tensor:
        """One step of one side; the mean loss over the architectures."""
        optimizer = self.optimizers[side]
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.accelerator.device)
        for index, architecture in enumerate(architectures):
            last = index == len(architectures) - 1
            z = self._noise(count)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                with self.accelerator.autocast():
                    loss = self.model(z, architecture, role=role, real=real)
                self.accelerator.backward(loss / len(architectures))
            total += loss.detach() / len(architectures)
        if self.settings.grad_clip:
            self.accelerator.clip_grad_norm_(
                getattr(self.pair, side).parameters(), self.settings.grad_clip
            )
        optimizer.step()
        return total

    def _noise(self, count: int) -> Tensor:
        """This process's part of the noise of all: processes draw alike."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        latent = self.pair.generator.latent
        z = torch.randn(count * world, latent)[rank * count : (rank + 1) * count]
        return z.to(self.accelerator.device)

    def _begin_anew(self, step: int) -> None:
        assert isinstance(self.pair, AdversarialSupernet)
        self.resets += 1
        self.pair.begin_anew(derive_seed("reset", self.pair.region.id, step))
        for optimizer in self.optimizers.values():
            getattr(optimizer, "optimizer", optimizer).state.clear()
        self.collapse.clear()

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizers": {n: o.state_dict() for n, o in self.optimizers.items()},
            "generator loss": self._generator_loss,
            "collapse": self.collapse.state_dict(),
            "resets": self.resets,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self._generator_loss = state["generator loss"].to(self.accelerator.device)
        self.collapse.load_state_dict(state["collapse"], self.accelerator.device)
        self.resets = state["resets"]


class CollapseWatch:
    """Dynamic reset (Gong et al., section 3.3): losses that no longer vary mean collapse."""

    def __init__(self, rules: GanSettings) -> None:
        self.window, self.variance = rules.reset_window, rules.reset_variance
        self.losses: dict[str, list[Tensor]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all losses."""
        self.losses = {"discriminator": [], "generator": []}

    def note(self, discriminator: Tensor, generator: Tensor | None) -> None:
        """Keep the losses of a step."""
        if not self.window:
            return
        self.losses["discriminator"].append(discriminator)
        if generator is not None:
            self.losses["generator"].append(generator)
        self.losses = {name: kept[-self.window :] for name, kept in self.losses.items()}

    def has_collapsed(self, step: int) -> bool:
        """Whether both windows are full and the losses in one of them hardly vary."""
        if not self.window or (step + 1) % LOOK:
            return False
        full = all(len(kept) == self.window for kept in self.losses.values())
        return full and any(
            float(torch.stack(kept).var(correction=0)) < self.variance
            for kept in self.losses.values()
        )

    def state_dict(self) -> dict[str, Tensor]:
        return {n: torch.stack(kept) for n, kept in self.losses.items() if kept}

    def load_state_dict(self, state: dict[str, Tensor], device: torch.device) -> None:
        self.clear()
        for name, kept in state.items():
            self.losses[name] = list(kept.to(device).unbind())


def make_optimizer(
    module: nn.Module, settings: TrainingSettings, rate: float, rules: GanSettings
) -> torch.optim.Optimizer:
    """One side's optimiser: any of timm's that has two betas."""
    check_optimizer(settings.optimizer)
    betas = (rules.beta1, rules.beta2)
    name = settings.optimizer.lower().removeprefix("lookahead_")
    if get_optimizer_info(name).has_betas:
        return create_optimizer_v2(
            module,
            opt=settings.optimizer,
            lr=rate,
            weight_decay=settings.weight_decay,
            betas=betas,
        )
    raise RecipeError(
        f"optimizer={settings.optimizer} has no betas, which gan.beta1 and gan.beta2 set",
        allowed="adam and its like",
        fix="set optimizer: adam in supernet, regions and retrain",
    )
