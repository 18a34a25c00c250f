"""The environment's variables change nothing, are refused, or are told."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from torch import nn

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.pipeline.processes import make_accelerator, settle_process
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.folder import RunFolder, computing
from fewshot_core.runs.surroundings import CONTINUED, note_changes, surroundings_lines
from fewshot_core.runs.variables import VariableError, settle_variables
from fewshot_core.training.classification import ClassificationObjective

REFUSED = {
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_USE_MEGATRON_LM": "true",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "ACCELERATE_USE_SAGEMAKER": "true",
    "ACCELERATE_MIXED_PRECISION": "fp8",
    "ACCELERATE_USE_CPU": "maybe",
    "ACCELERATE_CPU_AFFINITY": "2",
    "ACCELERATE_DEBUG_MODE": "",
    "USE_TORCH_XLA": "perhaps",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "DNNL_DEFAULT_FPMATH_MODE": "any",
    "OMP_DYNAMIC": "TRUE",
    "OMP_NUM_THREADS": "all",
    "WORLD_SIZE": "2",
    "RANK": "1",
    "LOCAL_RANK": "3",
    "LOCAL_WORLD_SIZE": "x",
}
"""One line says why not."""

WITHOUT_EFFECT = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8",
    "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR",
    "ACCELERATE_DYNAMO_MODE": "max-autotune",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH": "true",
    "ACCELERATE_DYNAMO_USE_DYNAMIC": "true",
    "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION": "true",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "ACCELERATE_FP8_BACKEND": "TE",
    "ACCELERATE_DOWNCAST_BF16": "true",
    "ACCELERATE_GRADIENT_CLIPPING": "0.001",
    "ACCELERATE_BYPASS_DEVICE_MAP": "true",
    "ACCELERATE_ALLOW_CP_STANDALONE": "true",
    "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
    "ACCELERATE_OF_TOMORROW": "yes",
}
"""The same weights, and a line for who wanted something else."""

SILENT = [
    ("ACCELERATE_DYNAMO_BACKEND", "NO"),
    ("ACCELERATE_DYNAMO_MODE", "default"),
    ("ACCELERATE_DYNAMO_USE_FULLGRAPH", "False"),
    ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1"),
    ("ACCELERATE_MIXED_PRECISION", "no"),
    ("ACCELERATE_USE_CPU", "True"),
    ("ACCELERATE_USE_FSDP", "false"),
    ("ACCELERATE_DEBUG_MODE", "false"),
    ("ACCELERATE_LOG_LEVEL", "DEBUG"),
    ("FSDP_VERSION", "2"),
    ("MEGATRON_LM_GRADIENT_CLIPPING", "0.001"),
    ("PARALLELISM_CONFIG_TP_SIZE", "2"),
    ("FORK_LAUNCHED", "perhaps"),
    ("ONEDNN_DEFAULT_FPMATH_MODE", "strict"),
    ("OMP_NUM_THREADS", "1,1"),
    ("OMP_WAIT_POLICY", "active"),
    ("TORCHDYNAMO_DISABLE", "1"),
    ("TORCH_COMPILE_DISABLE", "1"),
    ("TORCHINDUCTOR_MAX_AUTOTUNE", "1"),
    ("PYTORCH_NVML_BASED_CUDA_CHECK", "1"),
    ("OMPI_COMM_WORLD_SIZE", "4"),
    ("PMI_SIZE", "4"),
    ("MV2_COMM_WORLD_SIZE", "4"),
    ("SLURM_NTASKS", "8"),
    ("SLURM_PROCID", "3"),
    ("WORLD_SIZE", "1"),
    ("RANK", "0"),
    ("LOCAL_RANK", "0"),
    ("MASTER_ADDR", "elsewhere"),
]
"""The same weights: what launchers write themselves, and what has to do with other programs."""

TOLD = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "MKL_NUM_THREADS": "1",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OMP_THREAD_LIMIT": "1",
    "NVIDIA_TF32_OVERRIDE": "1",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "TORCH_CUDNN_V8_API_DISABLED": "1",
    "TORCH_BLAS_PREFER_CUBLASLT": "1",
    "PYTORCH_TUNABLEOP_ENABLED": "1",
    "PYTORCH_JIT": "0",
    "NCCL_ALGO": "Ring",
    "TIMM_FUSED_ATTN": "0",
    "LD_PRELOAD": "libiomp5.so",
}
"""Routines of libraries differ in the last bits: a line, and recorded."""

NAMES = {*REFUSED, *WITHOUT_EFFECT, *(name for name, _ in SILENT), *TOLD}

Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the variables of whoever runs the tests."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    yield
    _begin_anew()


def _begin_anew() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def trained(run: Path) -> Weights:
    """The weights after a few steps, as a run of this environment takes them."""
    _begin_anew()
    accelerator = make_accelerator(Recipe(threads=1), run)
    assert accelerator.num_processes == 1
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    images, targets = torch.randn(8, 3, 6, 6), torch.arange(8) % 5
    model = accelerator.prepare_model(network)
    objective = ClassificationObjective(model, TrainingSettings(lr=0.1), 4, accelerator)
    for step in range(4):
        objective.step((images, targets), [None], step)
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        return trained(tmp_path_factory.mktemp("run"))


def same(a: Weights, b: Weights) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("name", "value"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_had_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(FewshotError) as caught:
        make_accelerator(Recipe(), tmp_path)
    said = str(caught.value)
    assert name in said
    assert "to fix: " in said
    assert "\n" not in said


@pytest.mark.parametrize(("name", "value"), WITHOUT_EFFECT.items(), ids=WITHOUT_EFFECT)
def test_what_has_no_effect_is_told(
    name: str,
    value: str,
    undisturbed: Weights,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match=f"^{name}={value} has no effect"):
        assert same(trained(tmp_path), undisturbed)


@pytest.mark.parametrize(("name", "value"), SILENT, ids=map("=".join, SILENT))
def test_what_is_usual_changes_nothing(
    name: str,
    value: str,
    undisturbed: Weights,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(trained(tmp_path), undisturbed)
    assert surroundings_lines(tmp_path, computing()) == []


def begin(path: Path, recipe: Recipe, precision: str) -> None:
    folder = RunFolder(path)
    folder.begin(recipe, [], precision)
    folder.close()


@pytest.mark.parametrize(("name", "value"), TOLD.items(), ids=TOLD)
def test_what_can_change_bits_is_told_and_kept(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, value)
    [line] = surroundings_lines(tmp_path, computing())
    assert line == f"variables that can change the last bits of results: {name}={value}"
    begin(tmp_path, Recipe(), "no")
    assert json.loads((tmp_path / "environment.json").read_text())["variables"][name] == value


def test_a_run_that_goes_on_in_another_way_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begin(tmp_path, Recipe(), "no")
    note_changes(tmp_path, computing() | {"precision": "no"})
    assert surroundings_lines(tmp_path, computing() | {"precision": "no"}) == []
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    now = computing() | {"precision": "no", "threads": 77}
    line = surroundings_lines(tmp_path, now)[-1]
    before = torch.get_num_threads()
    assert f"threads {before} -> 77, ATEN_CPU_CAPABILITY none -> default" in line
    for _ in range(2):  # the same again is noted once
        note_changes(tmp_path, now)
    kept = json.loads((tmp_path / "environment.json").read_text())
    changed = {"threads": 77, "ATEN_CPU_CAPABILITY": "default"}
    assert [item["changed"] for item in kept[CONTINUED]] == [changed]
    assert kept["threads"] == before
    assert RunFolder.precision(tmp_path) == "no"


# --- precision


@pytest.mark.parametrize(
    ("precision", "told"), [("fp16", None), (None, "fp16"), (None, "FP16"), ("fp16", "no")]
)
def test_float16_needs_a_gpu(
    precision: str | None, told: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if told:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", told)
    with pytest.raises(RecipeError, match=r"fp16 needs a GPU.*allowed: no, bf16, auto"):
        make_accelerator(Recipe(precision=precision), tmp_path)
    settle_process(Recipe(precision=precision))  # a report


@pytest.mark.parametrize(
    ("wanted", "kept", "told", "used"),
    [
        (None, None, "bf16", "bf16"),
        (None, None, "BF16", "bf16"),
        (None, "bf16", "no", "bf16"),  # as it began
        (None, "no", "bf16", "no"),
        (None, "bf16", None, "bf16"),
        ("no", None, "bf16", "no"),
    ],
)
def test_a_run_is_computed_in_one_precision(
    wanted: str | None,
    kept: str | None,
    told: str | None,
    used: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _begin_anew()
    if kept:
        begin(tmp_path, Recipe(precision=wanted), kept)
    if told:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", told)
    assert make_accelerator(Recipe(precision=wanted), tmp_path).mixed_precision == used


def test_a_tool_may_be_asked_for_nothing() -> None:
    assert settle_variables({}) == []
    with pytest.raises(VariableError, match="allowed: no, bf16, fp16"):
        settle_variables({"ACCELERATE_MIXED_PRECISION": "int8"})
