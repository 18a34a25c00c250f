"""What this project measures of itself: ``python -m benchmarks.NAME`` from the repository's root.

Studies compare arms by many trainings (:mod:`benchmarks.studies`); the others measure speed, memory
and endurance. ``results/`` holds the figures beside the commands that made them.
"""
