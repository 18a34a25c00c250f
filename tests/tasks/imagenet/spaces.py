"""Spaces for the tests, large and small."""

from __future__ import annotations

from dataclasses import replace

from fewshot_tasks.imagenet.fbnet import FbnetSpace, fbnet
from fewshot_tasks.imagenet.skeleton import (
    fbnet_skeleton,
    lab_variant,
    macro_skeleton,
    ofa_skeleton,
    proxyless_skeleton,
)
from fewshot_tasks.imagenet.space import (
    ElasticSpace,
    MacroSpace,
    MobileSpace,
    OperationSpace,
    nasbench_macro,
    ofa_mbv3,
    proxyless,
)


def small_ofa() -> ElasticSpace:
    """Two units, one of them with squeeze-and-excitation, for images of 8 pixels."""
    skeleton = lab_variant(ofa_skeleton(0.5, 2), units=[1, 2], stem_stride=1, head=16)
    return ofa_mbv3(skeleton, depths=(1, 2), expansions=(2, 3, 4), image_size=8)


def small_proxyless() -> OperationSpace:
    """Two units of three blocks, the second without stride and of the same width."""
    skeleton = lab_variant(
        proxyless_skeleton(0.5, 3), units=[1, 2], strides=[2, 1], stem_stride=1, head=16
    )
    return proxyless(skeleton, kernels=(3, 5), expansions=(2, 3), image_size=8)


def small_macro() -> MacroSpace:
    """All codes of eight layers, with a quarter of the channels, for images of 8 pixels."""
    return nasbench_macro(macro_skeleton(0.25), image_size=8)


def small_fbnet() -> FbnetSpace:
    """Three units, the first of which may be empty, for images of 8 pixels."""
    skeleton = lab_variant(fbnet_skeleton(0.5), units=[1, 2, 7], stem_stride=1, head=16)
    units = tuple(replace(unit, slots=min(unit.slots, 3)) for unit in skeleton.units)
    return fbnet(replace(skeleton, units=units), image_size=8)


FULL: dict[str, MobileSpace] = {
    "ofa": ofa_mbv3(),
    "ofa at 1.2": ofa_mbv3(ofa_skeleton(1.2)),
    "proxyless": proxyless(),
    "macro": nasbench_macro(),
    "fbnet": fbnet(),
}
SMALL: dict[str, MobileSpace] = {
    "ofa": small_ofa(),
    "proxyless": small_proxyless(),
    "macro": small_macro(),
    "fbnet": small_fbnet(),
}
