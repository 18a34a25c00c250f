"""What a training that is no training from scratch starts from: a supernet, or a model of timm."""

from __future__ import annotations

from torch import nn

from fewshot_core.pipeline.inheriting import require_inherited_start, start_from_supernet
from fewshot_core.pipeline.pretrained import REPORT
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.stock import create_stock, stock_of
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.files import digest_of_weights, write_json
from fewshot_core.runs.retrained import INHERITED
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet.pretrained import WeightsReport


def require_start(run: Run, network: nn.Module) -> None:
    """Raise unless networks of a run can start from what ``retrain.start`` says.

    Args:
        run: The run.
        network: One of its networks; it may get these weights.

    Raises:
        FewshotError: There are no supernets of their size; or the model of timm cannot be had, is
            of another family, or has nothing that fits.
    """
    if run.recipe.retrain.start == INHERITED:
        require_inherited_start(run)
    elif stock_of(run.recipe.retrain.start) is not None:
        _start_from_stock(run, network)


def start(
    run: Run,
    label: str,
    architecture: Architecture,
    network: nn.Module,
    checkpoint: StageCheckpoint,
) -> None:
    """Put the weights that ``retrain.start`` means into a network that is to be fine-tuned.

    Of a model of timm it is said what became of every tensor, and kept beside the checkpoint.

    Args:
        run: The run.
        label: What is trained, for the user.
        architecture: Of the run's space.
        network: As it is built to be trained, with random weights.
        checkpoint: Where its training is kept.

    Raises:
        FewshotError: See :func:`require_start`; or the supernet is not trained, or is damaged.
    """
    name = run.recipe.retrain.start
    if name == INHERITED:
        start_from_supernet(run, architecture, network)
        return
    digest, report = _start_from_stock(run, network)
    if checkpoint.state().step:  # which has been said
        return
    run.console.print(f"{label} starts from {name}, weights {digest[:16]}: {report}")
    if checkpoint.writes:
        checkpoint.folder.mkdir(parents=True, exist_ok=True)
        source = {"weights": name, "sha256": digest}
        write_json(checkpoint.folder / REPORT, source | report.to_json())


def _start_from_stock(run: Run, network: nn.Module) -> tuple[str, WeightsReport]:
    stock = stock_of(run.recipe.retrain.start)
    assert stock is not None
    # With as many classes as its weights have: another classifier would be random.
    channels = run.images.facts().shape.channels
    model = create_stock(stock, "retrain.start", in_chans=channels)
    return digest_of_weights(model), run.task.start_from_stock(network, model, run.recipe)
