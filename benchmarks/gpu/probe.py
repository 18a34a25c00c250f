"""What a GPU is doing: its busy share by NVML, and the times of its kernels by the profiler."""

from __future__ import annotations

import ctypes
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SAMPLE_SECONDS = 0.1

KERNELS = ("kernel", "gpu_memcpy", "gpu_memset")
"""Categories of a trace in which the device works."""


class Nvml:
    """The driver's own library: Python packages for it are no dependency of this project."""

    def __init__(self) -> None:
        """Raises ``OSError`` where there is no such library, or no such device."""
        self._library = ctypes.CDLL("libnvidia-ml.so.1")
        self._require(self._library.nvmlInit_v2())
        self._handle = ctypes.c_void_p()
        name = f"GPU-{torch.cuda.get_device_properties(0).uuid}".encode()
        found = self._library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(self._handle))
        if found:  # a part of a GPU, or a name of another form
            index = ctypes.c_uint(0)
            by_index = self._library.nvmlDeviceGetHandleByIndex_v2
            self._require(by_index(index, ctypes.byref(self._handle)))

    def busy(self) -> int:
        """Percent of the last moments in which a kernel was running."""
        rates = (ctypes.c_uint * 2)()
        self._require(self._library.nvmlDeviceGetUtilizationRates(self._handle, rates))
        return int(rates[0])

    def driver(self) -> str:
        """Its version."""
        text = ctypes.create_string_buffer(96)
        self._require(self._library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(96)))
        return text.value.decode()

    def _require(self, code: int) -> None:
        if code:
            raise OSError(f"NVML error {code}")


class BusySampler:
    """Asks every tenth of a second, in a thread of its own, how busy the GPU is."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self.error = ""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        if not torch.cuda.is_available():
            return
        try:
            nvml = Nvml()
        except (OSError, AttributeError) as error:
            self.error = str(error)
            return
        self._thread = threading.Thread(target=self._ask, args=[nvml], daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, Any]:
        """Fields of a row."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if not torch.cuda.is_available():
            return {"gpu_busy_percent": None}
        if not self.samples:
            return {"gpu_busy_percent": None, "gpu_busy_error": self.error or "no sample"}
        return {
            "gpu_busy_percent": round(statistics.mean(self.samples), 1),
            "gpu_busy_samples": len(self.samples),
        }

    def _ask(self, nvml: Nvml) -> None:
        try:
            self._over.wait(SAMPLE_SECONDS)  # a first answer is about the time before
            while not self._over.wait(SAMPLE_SECONDS):
                self.samples.append(nvml.busy())
        except OSError as error:
            self.error = str(error)


class KernelTrace:
    """The times of the kernels of a few steps."""

    def __init__(self) -> None:
        self._profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
        self._began = 0.0

    def start(self) -> None:
        """Begin; the device has nothing to do at this moment."""
        self._profile.start()
        self._began = time.perf_counter()

    def stop(self, steps: int) -> dict[str, Any]:
        """Fields of a row; the device has finished the steps."""
        wall = time.perf_counter() - self._began
        self._profile.stop()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            self._profile.export_chrome_trace(str(path))
            events = json.loads(path.read_text())["traceEvents"]
        found = [e for e in events if e.get("cat") in KERNELS and "dur" in e]
        times: dict[str, float] = {}
        for event in found:
            times[event["name"]] = times.get(event["name"], 0.0) + event["dur"]
        longest = sorted(times, key=lambda name: -times[name])[:8]
        spans = sorted((float(e["ts"]), float(e["ts"]) + float(e["dur"])) for e in found)
        return {
            "profiled_steps": steps,
            "profiled_ms_per_step": round(1e3 * wall / steps, 3),
            "kernels_per_step": round(len(found) / steps, 1),
            "kernel_ms_per_step": round(sum(times.values()) / steps / 1e3, 3),
            "kernel_union_ms_per_step": round(_covered(spans) / steps / 1e3, 3),
            "longest_kernels_ms_per_step": {
                name[:60]: round(times[name] / steps / 1e3, 3) for name in longest
            },
        }


def _covered(spans: list[tuple[float, float]]) -> float:
    """The time that is in any of the spans, which are sorted."""
    total, end = 0.0, float("-inf")
    for start, stop in spans:
        if stop > end:
            total += stop - max(start, end)
            end = stop
    return total


# -- ceilings --------------------------------------------------------------------------------------


def ceilings(toy: bool) -> dict[str, Any]:
    """What the device is, and the most that it does: copying, and multiplying matrices."""
    cuda = torch.cuda.is_available()
    device, small = torch.device("cuda" if cuda else "cpu"), toy or not cuda
    row: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda}
    if cuda:
        properties = torch.cuda.get_device_properties(0)
        row |= {
            "memory_MiB": properties.total_memory >> 20,
            "cudnn": torch.backends.cudnn.version(),
        }
        try:
            row["driver"] = Nvml().driver()
        except (OSError, AttributeError) as error:
            row["driver_error"] = str(error)
    row["copy_GB_per_second"] = _copied(1 << 20 if small else 1 << 29, device)
    side = 256 if small else 8192
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    row["bf16_matmul_TFLOPs"] = round(2 * side**3 / _seconds(lambda: left @ right, cuda) / 1e12, 3)
    if cuda:  # what the profiler sets up has to be there before a graph is captured
        row["profiled_matmul_ms"] = _profiled(lambda: left @ right)
    return row


def _copied(count: int, device: torch.device) -> float:
    """Gigabytes that are read and written in a second where so many floats are copied."""
    source = torch.randn(count, device=device)
    target = torch.empty_like(source)
    seconds = _seconds(lambda: target.copy_(source), device.type == "cuda")
    return round(2 * 4 * count / seconds / 1e9, 1)


def _profiled(call: Callable[[], object]) -> float | str:
    """Milliseconds of the kernels, or why the profiler does not work here."""
    try:
        trace = KernelTrace()
        trace.start()
        call()
        torch.cuda.synchronize()
        return float(trace.stop(1)["kernel_ms_per_step"])
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        return str(error)[:200]


def _seconds(call: Callable[[], object], cuda: bool, repeats: int = 20) -> float:
    """The median of several, after three that do not count."""
    times = []
    for number in range(repeats + 3):
        if cuda:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            end.synchronize()
            took = begin.elapsed_time(end) / 1e3
        else:
            began = time.perf_counter()
            call()
            took = time.perf_counter() - began
        if number >= 3:
            times.append(took)
    return statistics.median(times)
