"""What is done with a run: a module for each thing, with functions that take the run.

=====================================  ===========================================================
``run``, ``images``                    the opened run, a value that acts on nothing; its images
``opening``                            the ways into a run; ``checks``, ``batches``, ``inputs``,
                                       ``latency``, ``telling`` are what happens there
``regions``, ``supernets``             where the supernet is split; supernets made and trained
``training``                           batches, networks and the training loop of a run
``scorers``, ``scoring``               what measures a network; what scores an architecture, with
                                       ``standalone`` and ``kept_scores``
``asking``, ``study_name``             the strategy is asked, the study keeps what was said
``derive``, ``relaxation``             differentiable strategies
``ladder``                             which of the best is it? Trainings choose
``audit``, ``candidates``              may the scores be trusted?
``search``, ``retrain``, ``rank``,     the tools
``export``, ``report``
``processes``, ``faults``              processes of a launch; what may happen to them
=====================================  ===========================================================
"""
