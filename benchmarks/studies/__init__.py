"""Studies: a question, its jobs, their rows, and the tables and pictures that are made of them.

A study says what its jobs are and what its rows mean (:class:`benchmarks.studies.study.Study`).
The command line, the workers, resuming, tables, pictures and results are the same for all of them.
"""
