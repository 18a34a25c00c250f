"""A search of each task that takes a few steps of everything and ends within seconds."""

from __future__ import annotations

TINY: dict[str, object] = {
    "recipe": "digits",
    "threads": 1,
    "checkpoint_steps": 2,
    "network.channels": 4,
    "data.limit": 200,
    "supernet.epochs": 1,
    "split": "groups",
    "split.decision": "edge_1_0",
    "split.groups": "[[none,skip_connect],[nor_conv_1x1,nor_conv_3x3,avg_pool_3x3]]",
    "regions.epochs": 0.5,
    "evaluator.recalibrate": 64,
    "search.trials": 8,
    "strategy.population": 4,
    "strategy.sample": 2,
    "audit.networks": 4,
    "audit.epochs": 0.5,
    "audit.candidates": 12,
    "retrain.epochs": 0.5,
    "retrain.seeds": 1,
}
"""Cells on digits."""

MOBILE: dict[str, object] = {
    "recipe": "mobile_digits",
    "threads": 1,
    "data.limit": 200,
    "network.width": 0.25,
    "network.head": 16,
    "network.units": "[1,2]",
    "network.strides": "[2,2]",
    "supernet.epochs": 2,
    "regions.epochs": 2,
    "evaluator.recalibrate": 64,
    "constraint.flops": "60K",
    "search.trials": 8,
    "strategy.population": 4,
    "strategy.sample": 2,
    "retrain.epochs": 0.5,
}
"""Mobile networks on digits."""

GAN: dict[str, object] = {
    "recipe": "autogan_digits",
    "threads": 1,
    "checkpoint_steps": 4,
    "network.channels": 4,
    "network.supernet_channels": 4,
    "network.discriminator": 4,
    "network.supernet_discriminator": 4,
    "network.latent": 6,
    "supernet.epochs": 1,
    "regions.epochs": 0.5,
    "metric.images": 60,
    "metric.test_images": 80,
    "metric.watch_images": 40,
    "metric.steps": 30,
    "evaluator.recalibrate": 64,
    "search.trials": 8,
    "strategy.population": 4,
    "strategy.sample": 2,
    "retrain.epochs": 0.5,
}
"""Generators of digits."""
