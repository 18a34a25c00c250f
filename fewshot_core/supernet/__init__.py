"""Supernets over regions."""

from fewshot_core.supernet.base import InheritanceReport, Supernet, copy_into
from fewshot_core.supernet.calibrate import keep_calibrated, recalibrate_norms

__all__ = ["InheritanceReport", "Supernet", "copy_into", "keep_calibrated", "recalibrate_norms"]
