"""What differentiable strategies are made of.

A supernet with preferences (:mod:`~fewshot_core.search.preferences.relaxed`), recurrent policies
(:mod:`~fewshot_core.search.preferences.controller`), steps that move either
(:mod:`~fewshot_core.search.preferences.steps`), and what comes out in the end
(:mod:`~fewshot_core.search.preferences.naming`).
"""
