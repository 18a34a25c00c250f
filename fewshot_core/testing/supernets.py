"""What every supernet has to do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from fewshot_core.errors import RegionError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet

MakeSupernet = Callable[[Region], Supernet]


class SupernetSuite:
    """Tests of a :class:`Supernet`; supply the fixtures ``space`` and ``make_supernet``.

    ``make_supernet(region)`` builds the smallest sensible supernet, with fresh weights. Override
    ``inputs`` where it does not take images of 3 channels, and ``region`` where the default part
    of the space has parameters that no architecture of it uses.
    """

    samples = 12
    """Random architectures that outputs and gradients are compared for."""

    tolerance = 0.0
    """Difference allowed between the outputs of a supernet and of what it extracts."""

    training_tolerance = 1e-6
    """The same after a training step. The step is taken in double precision, because sums may be
    taken in another order; extraction may round to single precision."""

    absorbed: frozenset[str] = frozenset()
    """Parameters of the parent that are worked into others of the child where it inherits."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        """The space of the supernet."""
        raise NotImplementedError("a subclass supplies the fixture `space`")

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        """Builds a supernet over a region."""
        raise NotImplementedError("a subclass supplies the fixture `make_supernet`")

    @pytest.fixture
    def inputs(self) -> Tensor:
        """What the supernet is run on."""
        return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        """A part of the space: the first half of the options of the first free decision."""
        decision = next(d for d in space.decisions if len(d.options) > 1)
        half = decision.options[: (len(decision.options) + 1) // 2]
        return Region.root(space).restrict(decision.name, half)

    @pytest.fixture
    def parent(self, space: SearchSpace, make_supernet: MakeSupernet) -> Supernet:
        """The supernet of the whole space, with batch-norm statistics unlike fresh ones."""
        torch.manual_seed(1)
        supernet = make_supernet(Region.root(space))
        _disturb(supernet, seed=2)
        return supernet.eval()

    @pytest.fixture
    def child(self, region: Region, make_supernet: MakeSupernet) -> Supernet:
        """The supernet of ``region``, with weights unlike the parent's."""
        torch.manual_seed(3)
        supernet = make_supernet(region)
        _disturb(supernet, seed=4)
        return supernet.eval()

    # -- one architecture --------------------------------------------------------------------

    def test_it_computes_what_the_extracted_network_computes(
        self, parent: Supernet, inputs: Tensor
    ) -> None:
        for architecture in self.architectures(parent.region):
            network = parent.extract(architecture).eval()
            with torch.no_grad():
                self.same(parent(inputs, architecture), network(inputs))

    def test_it_trains_as_the_extracted_network_trains(
        self, parent: Supernet, inputs: Tensor
    ) -> None:
        """A step and then extraction is extraction and then a step: gradients and statistics."""
        parent, inputs = parent.double(), inputs.double()
        before = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
        for architecture in self.list_trained_alike(parent.region):
            parent.load_state_dict(before)
            network = parent.extract(architecture).double()
            theirs = _train_step(network, inputs)
            self.close(_train_step(parent, inputs, architecture), theirs)
            trained = parent.extract(architecture).double().state_dict()
            assert set(trained) == set(network.state_dict())
            for name, tensor in network.state_dict().items():
                self.close(trained[name], tensor)

    def test_extraction_copies(self, parent: Supernet) -> None:
        before = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
        for architecture in self.architectures(parent.region)[:3]:
            with torch.no_grad():
                for parameter in parent.extract(architecture).parameters():
                    parameter.add_(1.0)
        for name, tensor in parent.state_dict().items():
            assert torch.equal(tensor, before[name]), name

    def test_extraction_keeps_the_mode(self, parent: Supernet) -> None:
        architecture = self.architectures(parent.region)[0]
        assert parent.train().extract(architecture).training
        assert not parent.eval().extract(architecture).training

    def test_only_what_reaches_the_output_is_computed(
        self, parent: Supernet, inputs: Tensor
    ) -> None:
        for architecture in self.architectures(parent.region):
            if parent.region.space.connected(architecture) is None:
                continue  # not even what lies around the decisions reaches the output
            for name, output in _module_outputs(parent, inputs, architecture):
                assert output.grad is not None, f"{name} is computed in vain for {architecture}"

    def test_unconnected_choices_cost_nothing(self, parent: Supernet, inputs: Tensor) -> None:
        space = parent.region.space
        for architecture in self.architectures(parent.region):
            connected = space.connected(architecture)
            if connected is not None:
                names = [name for name, _ in _module_outputs(parent, inputs, architecture)]
                theirs = [name for name, _ in _module_outputs(parent, inputs, connected)]
                assert names == theirs

    def test_architectures_outside_the_region_are_refused(
        self, child: Supernet, region: Region, space: SearchSpace, inputs: Tensor
    ) -> None:
        rng = random.Random(0)
        inside = region.sample(rng)
        outside = next(
            a for a in (space.sample(rng) for _ in range(1000)) if not region.contains(a)
        )
        for stranger in (outside, Architecture(f"{space.name}?", inside.choices)):
            with pytest.raises(RegionError):
                child(inputs, stranger)
            with pytest.raises(RegionError):
                child.extract(stranger)

    # -- a region ----------------------------------------------------------------------------

    def test_it_holds_the_parameters_of_its_region_and_no_others(
        self, parent: Supernet, child: Supernet, inputs: Tensor
    ) -> None:
        needed = self.list_used_parameters(parent, child.region, inputs) - self.absorbed
        assert {name for name, _ in child.named_parameters()} == needed
        assert self.list_used_parameters(child, child.region, inputs) == needed

    def test_its_tensors_are_named_as_the_parents(self, parent: Supernet, child: Supernet) -> None:
        assert set(child.state_dict()) <= set(parent.state_dict())

    def test_it_inherits_everything(
        self, parent: Supernet, child: Supernet, inputs: Tensor
    ) -> None:
        report = child.inherit_from(parent)
        assert report.fresh == ()
        assert {*report.copied, *report.sliced} == set(child.state_dict())
        with torch.no_grad():
            for architecture in self.architectures(child.region):
                self.same(child(inputs, architecture), parent(inputs, architecture))

    def test_inheriting_leaves_the_parent_alone(self, parent: Supernet, child: Supernet) -> None:
        before = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
        child.inherit_from(parent)
        with torch.no_grad():
            for parameter in child.parameters():
                parameter.add_(1.0)
        for name, tensor in parent.state_dict().items():
            assert torch.equal(tensor, before[name]), name

    # -- tools -------------------------------------------------------------------------------

    def architectures(self, region: Region) -> list[Architecture]:
        """Random architectures of a region, and those of all first and all last options."""
        rng = random.Random(0)
        corners = [
            Architecture(region.space.name, tuple(options[end] for options in region.allowed))
            for end in (0, -1)
        ]
        drawn = [region.sample(rng) for _ in range(self.samples)]
        return [c for c in corners if region.contains(c)] + drawn

    def list_trained_alike(self, region: Region) -> list[Architecture]:
        """Those whose tensors are the supernet's own.

        Where one is computed from several of the supernet's, a step moves all of these.
        """
        return self.architectures(region)

    def list_used_parameters(self, supernet: Supernet, region: Region, inputs: Tensor) -> set[str]:
        """Names of the parameters that get a gradient from some architecture of a region."""
        used: set[str] = set()
        for architecture in self.covering(region):
            supernet.zero_grad(set_to_none=True)
            supernet(inputs, architecture).sum().backward()
            used |= {name for name, p in supernet.named_parameters() if p.grad is not None}
        return used

    def covering(self, region: Region) -> list[Architecture]:
        """Architectures of a region that together use every option in several contexts."""
        rng = random.Random(1)
        found = self.architectures(region)
        for decision, options in zip(region.space.decisions, region.reachable(), strict=True):
            for option in region.options(decision.name):
                if option in options:
                    part = region.restrict(decision.name, (option,))
                    found += [part.sample(rng) for _ in range(4)]
        return found

    def same(self, mine: Tensor, theirs: Tensor) -> None:
        """Require two tensors to be equal, within the tolerance."""
        assert_close(mine, theirs, rtol=self.tolerance, atol=self.tolerance)

    def close(self, mine: Tensor, theirs: Tensor) -> None:
        """Require two tensors to be equal up to rounding."""
        tolerance = self.training_tolerance
        assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def _disturb(module: nn.Module, seed: int) -> None:
    """Move every tensor off its initial value: zeros and ones hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            # Upwards only, because variances have to stay positive.
            tensor.add_(0.1 * torch.rand(tensor.shape, generator=generator))


def _train_step(module: nn.Module, *arguments: object) -> Tensor:
    """One step of plain gradient descent; the output before it."""
    module.train()
    module.zero_grad(set_to_none=True)
    torch.manual_seed(5)  # dropout
    output: Tensor = module(*arguments)
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)  # tells outputs apart
    (output * weights).sum().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
    return output.detach()


def _module_outputs(
    supernet: Supernet, inputs: Tensor, architecture: Architecture
) -> Iterable[tuple[str, Tensor]]:
    """Run an architecture and backpropagate; the modules without parts that were called.

    The gradient of a module's output is there exactly if it reaches the network's output.
    """
    calls: list[tuple[str, Tensor]] = []

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            for part in output if isinstance(output, tuple) else (output,):
                part.retain_grad()
                calls.append((name, part))

        return hook

    leaves = [(n, m) for n, m in supernet.named_modules() if not list(m.children())]
    handles = [module.register_forward_hook(note(name)) for name, module in leaves]
    try:
        supernet(inputs.clone().requires_grad_(), architecture).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    return calls
