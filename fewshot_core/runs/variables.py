"""Environment variables that would change what is computed. No torch.

What a run computes is said by its recipe. Accelerate and torch also listen to some hundred
environment variables, which a shell, a container or an old configuration may have left there. Each
is refused, has no effect, or is recorded in ``environment.json`` with a line for the user.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from fewshot_core.errors import FewshotError

USED = ("no", "bf16", "fp16")
"""What a run can be computed in."""

CONFIGURATION = "ACCELERATE_CONFIG_FILE"
"""Names a configuration of Accelerate other than the usual file, for ``fewshot`` as a launcher."""

PRECISION = "ACCELERATE_MIXED_PRECISION"
ON_CPU = "ACCELERATE_USE_CPU"

ELSEWHERE = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "fully sharded training (FSDP)",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "parallel parts of a model",
    "ACCELERATE_USE_SAGEMAKER": "SageMaker's processes",
}
"""What a launcher can ask for and this program does not do."""

FLAGS = (ON_CPU, "ACCELERATE_CPU_AFFINITY", "ACCELERATE_DEBUG_MODE", "USE_TORCH_XLA")
"""Accelerate reads them as truth values, and stumbles over others."""
TRUE = ("y", "yes", "t", "true", "on", "1")
FALSE = ("n", "no", "f", "false", "off", "0")

FLOAT32 = ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")
"""Let oneDNN compute in fewer bits than the recipe says."""

OF_ACCELERATE = ("ACCELERATE_", "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_", "FORK_LAUNCHED")
KEPT = (
    *(ON_CPU, PRECISION, "ACCELERATE_CPU_AFFINITY", "ACCELERATE_DEBUG_MODE"),
    *("ACCELERATE_LOG_LEVEL", "ACCELERATE_ENABLE_RICH", CONFIGURATION),
)
"""Those of Accelerate that say where to compute and how much to tell; the rest has no effect."""

OF_LAUNCHER = {
    "ACCELERATE_DYNAMO_BACKEND": ("no",),
    "ACCELERATE_DYNAMO_MODE": ("default",),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1",),
}
"""Values that a launcher writes itself, or that change nothing; others are worth a line. So are not
what is false, and the details of what is not used (``FSDP_...``)."""

RECORDED = (
    *("ATEN_", "ONEDNN_", "DNNL_", "MKL_", "MKLDNN_", "OMP_", "KMP_", "GOMP_", "OPENBLAS_"),
    *("BLIS_", "CUBLAS", "CUDNN_", "NVIDIA_TF32_", "TORCH_ALLOW_TF32_", "TORCH_BLAS_", "MIOPEN_"),
    *("TORCH_CUDNN_", "TORCH_MKLDNN_", "TORCH_NNPACK", "PYTORCH_TUNABLEOP_", "PYTORCH_MIOPEN_"),
    *("PYTORCH_JIT", "HIPBLASLT_", "ROCBLAS_", "DISABLE_ADDMM_", "NCCL_", "GLOO_", "TIMM_"),
    *("TORCHINDUCTOR_", "TORCHDYNAMO_", "TORCH_COMPILE_", "LD_PRELOAD"),
)
"""How variables begin that decide which routines compute."""

PLACES = ("TORCHINDUCTOR_CACHE_DIR",)
"""Those of them that are folders of one machine, and say nothing to another."""

HARMLESS = (
    # The number of threads has a line of its own; where they run and how they wait changes no bit.
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OMP_PROC_BIND", "OMP_PLACES", "OMP_DISPLAY_"),
    *("OMP_STACKSIZE", "OMP_DYNAMIC", "GOMP_", "KMP_", "TORCHINDUCTOR_", "TORCHDYNAMO_"),
    *("TORCH_COMPILE_", "ONEDNN_VERBOSE", "DNNL_VERBOSE", "MKL_VERBOSE", "NCCL_DEBUG"),
    *("NCCL_SOCKET_", "NCCL_IB_", "NCCL_P2P_", "GLOO_SOCKET_"),
    *FLOAT32,  # refused unless they ask for what is the default
)
"""How those of them begin that are recorded without a line."""


class VariableError(FewshotError):
    """An environment variable asks for something that cannot be had."""


def settle_variables(environ: MutableMapping[str, str] | None = None) -> list[str]:
    """Leave to Accelerate what says where to compute, and nothing that says what.

    Returns:
        A line for each variable that somebody may have wanted to have an effect.

    Raises:
        VariableError: One asks for what this program does not do, or has no valid value.
    """
    variables = os.environ if environ is None else environ
    check_variables(variables)
    left_out = [n for n in variables if n.startswith(OF_ACCELERATE) and n not in KEPT]
    found = {name: variables.pop(name) for name in sorted(left_out)}
    return [
        f"{name}={value} has no effect: what is computed is said by the recipe"
        for name, value in found.items()
        if name.startswith("ACCELERATE_")
        and value.lower() not in (*FALSE, "", *OF_LAUNCHER.get(name, ()))
    ]


def check_variables(environ: Mapping[str, str]) -> None:
    """Raise for a variable that cannot be left as it is.

    Raises:
        VariableError: It asks for what this program does not do, or has no valid value.
    """
    for name, what in ELSEWHERE.items():
        if environ.get(name, "").lower() in TRUE:
            raise VariableError(
                f"the launch asks for {what}, which is not supported here",
                found=f"{name}={environ[name]}",
                fix=f"choose another configuration of accelerate launch, or unset {name}",
            )
    for name in FLAGS:
        value = environ.get(name)
        if value is not None and value.lower() not in (*TRUE, *FALSE):
            raise VariableError(
                f"{name} is neither true nor false",
                found=repr(value),
                allowed="true, false",
                fix=f"unset {name}",
            )
    told = environ.get(PRECISION, "no").lower()
    if told not in USED:
        raise VariableError(
            "the launcher's precision cannot be used",
            found=f"{PRECISION}={environ[PRECISION]}",
            allowed=", ".join(USED),
            fix="accelerate launch --mixed_precision no, or precision= of the recipe",
        )
    for name in FLOAT32:
        if environ.get(name, "").upper() not in ("", "STRICT"):
            raise VariableError(
                f"{name}={environ[name]} would compute in fewer bits than the recipe says",
                fix=f"unset {name}; precision=bf16 computes in bfloat16",
            )
    if environ.get("OMP_DYNAMIC", "").strip().lower() == "true":
        raise VariableError(
            "OMP_DYNAMIC=true changes the number of threads, and results with it, under way",
            fix="unset OMP_DYNAMIC; OMP_NUM_THREADS or threads= sets their number",
        )


def read_told_precision(environ: Mapping[str, str] | None = None) -> str | None:
    """What ``accelerate launch`` was told to compute in; none where it was not asked."""
    told = (os.environ if environ is None else environ).get(PRECISION)
    return None if told is None else told.lower()


def asks_for_cpu(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the launch wants no GPU even where there is one."""
    variables = os.environ if environ is None else environ
    return variables.get(ON_CPU, "").lower() in TRUE


def record_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that decide which routines compute, as they are now."""
    variables = os.environ if environ is None else environ
    known = [n for n in sorted(variables) if n.startswith(RECORDED) and n not in PLACES]
    return {name: variables[name] for name in known}


def select_consequential(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the recorded ones that can change the last bits of a result."""
    return {n: v for n, v in variables.items() if not n.startswith(HARMLESS)}
