"""What networks cost: tables of FLOPs and parameters, latency, the Pareto front."""
