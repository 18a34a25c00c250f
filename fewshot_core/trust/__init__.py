"""How far scores can be trusted: rank figures, audits, the verdict."""
