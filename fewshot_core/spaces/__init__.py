"""Search spaces, regions of them and how they are split; values without torch."""
